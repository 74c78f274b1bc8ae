"""Answers and learns in MONAI Label: `python -m scripts.serving`, or `make label`."""
