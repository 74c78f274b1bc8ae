# SPDX-License-Identifier: Apache-2.0
"""What a network is made of: `python -m workbench.network`."""
