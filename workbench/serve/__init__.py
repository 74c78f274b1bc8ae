"""Answers and learns in MONAI Label: `python -m workbench.serve`, or `make label`."""
