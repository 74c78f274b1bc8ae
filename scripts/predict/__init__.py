"""One patient, from the images to a report: `python -m scripts.predict`."""

from scripts.predict.prediction import write_prediction

__all__ = ["write_prediction"]
