"""predictions.csv: what the model said about each case, the file that every later analysis starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.atomic import write_table
from scripts.evaluation.cells import read_rows
from scripts.evaluation.checks import as_probabilities

PREFIX = "p_"
"""A probability column is this and the class name."""


@dataclass(frozen=True)
class Predictions:
    """The content of one predictions.csv.

    Attributes:
        cases: n case names.
        probabilities: float64 [n, K], columns in the order of `classes`.
        classes: K class names.
        labels: index of the true class or None per case; None altogether without a column `true`.
        splits: split per case, or None.
        patients: patient per case, or None.
        clinical_missing: clinical columns that each case lacked, or None.
    """

    cases: list[str]
    probabilities: np.ndarray
    classes: list[str]
    labels: list[int | None] | None = None
    splits: list[str] | None = None
    patients: list[str] | None = None
    clinical_missing: list[list[str]] | None = None


def write_predictions(
    path: str | Path,
    cases: Sequence[str],
    probabilities: ArrayLike,
    classes: Sequence[str],
    labels: Sequence[int | None] | None = None,
    splits: Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
    clinical: Sequence[tuple[Sequence[str], Sequence[str]]] | None = None,
    positive: str | None = None,
    threshold: float | None = None,
) -> Path:
    """Write case, [patient], [split], [true], predicted, [positive_class, called_positive] and p_<class>.

    The bracketed columns are there when given, and so are `clinical` and `clinical_missing` at the end.
    `predicted` is the class with the highest probability (of equal ones the first). Probabilities have 9
    significant digits, so that float32 values come back exactly.

    Args:
        path: the file; complete or untouched, never half-written.
        cases: n distinct case names.
        probabilities: one row per case.
        classes: K class names.
        labels: index of the true class per case, None where unknown (an empty cell).
        splits: split per case.
        patients: patient per case.
        clinical: names of the clinical columns that each case had, and that it lacked: the columns `clinical`
            and `clinical_missing`, names separated by semicolons.
        positive: the positive one of two classes, whose name fills a column.
        threshold: the model's, on its probability: ``called_positive`` is yes where it is reached, else no.

    Shape:
        probabilities: [n, K].

    Raises:
        ValueError: bad probabilities, a repeated case, lists of different lengths, a label out of range, a
            folder that cannot be written.
    """
    probability = as_probabilities(probabilities, classes, cases)
    seen: set[str] = set()
    for case in cases:
        if case in seen:
            raise ValueError(
                f"case {case}: predicted twice, but every case must be there once: look for it in the data"
            )
        seen.add(case)
    columns: dict[str, Sequence[str]] = {"case": cases}
    if patients is not None:
        columns["patient"] = patients
    if splits is not None:
        columns["split"] = splits
    if labels is not None:
        wrong = [label for label in labels if label is not None and not 0 <= label < len(classes)]
        if wrong:
            case = cases[list(labels).index(wrong[0])]
            raise ValueError(f"case {case}: label must lie in 0..{len(classes) - 1}, found {wrong[0]}")
        columns["true"] = ["" if label is None else classes[label] for label in labels]
    columns["predicted"] = [classes[k] for k in probability.argmax(axis=1)]
    if positive is not None:
        columns["positive_class"] = [positive] * len(cases)
    if positive is not None and threshold is not None:
        reached = probability[:, list(classes).index(positive)] >= threshold
        columns["called_positive"] = ["yes" if one else "no" for one in reached]
    for k, name in enumerate(classes):
        columns[PREFIX + name] = [f"{value:.9g}" for value in probability[:, k]]
    if clinical is not None:
        columns["clinical"] = ["; ".join(had) for had, _ in clinical]
        columns["clinical_missing"] = ["; ".join(lacked) for _, lacked in clinical]
    for name, values in columns.items():
        if len(values) != len(cases):
            raise ValueError(
                f"column {name} must have one value per case, found {len(values)} for {len(cases)} cases"
            )
    return write_table(path, columns, zip(*columns.values(), strict=True))


def read_predictions(path: str | Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column is missing, a cell is not a number or not a class; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"predictions file {path} is not there: run the evaluation that writes it")
    header, rows = read_rows(path)
    classes = [name.removeprefix(PREFIX) for name in header if name.startswith(PREFIX)]
    if "case" not in header or len(classes) < 2 or not rows:
        raise ValueError(
            f"{path} must have a column case, at least two columns {PREFIX}<class> and one row, found "
            f"columns {header} and {len(rows)} rows"
        )
    labels: list[int | None] = []
    values = np.empty((len(rows), len(classes)))
    for i, row in enumerate(rows):
        for k, name in enumerate(classes):
            try:
                values[i, k] = float(row[PREFIX + name])
            except (TypeError, ValueError):
                found = row[PREFIX + name]
                raise ValueError(
                    f"{path} line {i + 2}: {PREFIX + name} must be a number, found {found!r}"
                ) from None
        if "true" in header:
            if row["true"] and row["true"] not in classes:
                raise ValueError(f"{path} line {i + 2}: true must be one of {classes}, found {row['true']!r}")
            labels.append(classes.index(row["true"]) if row["true"] else None)
    cases = [row["case"] for row in rows]
    return Predictions(
        cases=cases,
        probabilities=as_probabilities(values, classes, cases),
        classes=classes,
        labels=labels if "true" in header else None,
        splits=[row["split"] for row in rows] if "split" in header else None,
        patients=[row["patient"] for row in rows] if "patient" in header else None,
        clinical_missing=[
            row["clinical_missing"].split("; ") if row["clinical_missing"] else [] for row in rows
        ]
        if "clinical_missing" in header
        else None,
    )
