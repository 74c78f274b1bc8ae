"""One patient, from the images to a report: `python -m scripts.predict`."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Import `write_prediction` on first use, since the command can be stopped before (PEP 562)."""
    if name == "write_prediction":
        from scripts.predict.prediction import write_prediction

        return write_prediction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
