# SPDX-License-Identifier: Apache-2.0
"""What a folder from elsewhere may hold, looked at without running it: `python -m workbench.verify`."""
