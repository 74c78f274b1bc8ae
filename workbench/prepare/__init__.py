"""From a folder of images to a dataset.json: `python -m monai.bundle run preparing`."""
