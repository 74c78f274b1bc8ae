"""What a folder from elsewhere may hold, looked at without running any of it: `python -m workbench.verify`."""
