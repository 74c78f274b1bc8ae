# SPDX-License-Identifier: Apache-2.0
"""Predict and learn in MONAI Label: `python -m workbench.serve`, or `make label`."""
