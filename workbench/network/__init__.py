"""What a network is made of: `python -m workbench.network`."""
