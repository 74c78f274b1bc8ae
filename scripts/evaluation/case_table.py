"""Tables with one row per case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.evaluation.atomic import write_table

if TYPE_CHECKING:
    from scripts.evaluation.case_handler import Prediction


def case_columns(predictions: Sequence[Prediction], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns case, true (empty where the class is not known) and predicted."""
    return {
        "case": [p.case for p in predictions],
        "true": ["" if p.label is None else classes[p.label] for p in predictions],
        "predicted": [classes[p.predicted] for p in predictions],
    }


def write_case_table(
    path: Path,
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    columns: Mapping[str, np.ndarray],
) -> Path:
    """Write case, true, predicted and further columns of numbers, with the 9 digits of a float32.

    Raises:
        ValueError: the folder cannot be written.
    """
    numbers = {name: [f"{value:.9g}" for value in values] for name, values in columns.items()}
    table = case_columns(predictions, classes) | numbers
    return write_table(path, table, zip(*table.values(), strict=True))
