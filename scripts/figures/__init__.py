"""Figures as matplotlib `Figure` objects, for files and for TensorBoard's `add_figure`."""
