"""One patient, from the images to a report: `python -m workbench.predict`."""
