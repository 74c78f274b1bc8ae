# SPDX-License-Identifier: Apache-2.0
"""Answers and learns in MONAI Label: `python -m workbench.serve`, or `make label`."""
