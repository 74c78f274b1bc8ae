# SPDX-License-Identifier: Apache-2.0
"""Check a folder from elsewhere without running any of it: `python -m workbench.verify`."""
