# SPDX-License-Identifier: Apache-2.0
"""Predictions: the checks before anything is computed from them, and the file predictions.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from scripts.files.atomic import write_table
from scripts.files.csv_text import read_rows

SUM_TOLERANCE = 1e-2
"""Tolerated deviation of a row of probabilities from sum 1 (enough for bf16 and rounded files, not for logits)."""


def as_probabilities(
    probabilities: ArrayLike, classes: Sequence[str] | None = None, cases: Sequence[str] | None = None
) -> np.ndarray:
    """Return probabilities [n, K] as float64 after checking them.

    The number of columns is compared with the class names; case names let an error name the case.

    Raises:
        ValueError: wrong shape; not finite; outside 0..1; a row that does not sum to 1.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            f"probabilities must have shape [n cases, K classes] with n >= 1 and K >= 2, found {list(values.shape)}"
        )
    if classes is not None and len(classes) != values.shape[1]:
        raise ValueError(
            f"probabilities must have one column per class, found {values.shape[1]} columns for the "
            f"{len(classes)} classes {list(classes)}"
        )
    if cases is not None and len(cases) != values.shape[0]:
        raise ValueError(
            f"there must be one row of probabilities per case, found {values.shape[0]} for {len(cases)} cases"
        )

    def complain(wrong: ArrayLike, must: str, remedy: str) -> None:
        bad = np.asarray(wrong)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            who = f"case {cases[first]}" if cases is not None else f"row {first}"
            more = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
            row = "[" + ", ".join(f"{value:.4g}" for value in values[first]) + "]"
            raise ValueError(f"{who}{more}: probabilities must {must}, found {row}: {remedy}")

    complain(
        ~np.isfinite(values).all(axis=1),
        "be finite",
        "the network gives NaN or infinite values, look for non-finite weights (diverged training) or inputs",
    )
    complain(
        (values < 0).any(axis=1) | (np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE),
        "lie between 0 and 1 and sum to 1",
        "apply softmax to the logits once, in postprocessing",
    )
    return values


def as_pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities [n, K] of two models for the same cases and classes, both checked.

    Raises:
        ValueError: as for `as_probabilities`; different shapes.
    """
    one = as_probabilities(first)
    return one, as_probabilities(second, [""] * one.shape[1], [f"row {i}" for i in range(len(one))])


def as_labels(labels: ArrayLike, n: int, num_classes: int) -> np.ndarray:
    """Return the labels [n] as int64 after checking that they are indices into the classes.

    Raises:
        ValueError: wrong shape, not whole numbers, or outside 0..K-1.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(f"labels must have shape [{n}], one per row of probabilities, found {list(values.shape)}")
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers (indices into classes), found type {values.dtype}")
    wrong = (values < 0) | (values >= num_classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, found {values[first]} in row {first}")
    return values.astype(np.int64)


PREFIX = "p_"  # The column of a class's probability is this plus the class name


@dataclass(frozen=True)
class Predictions:
    """The content of a predictions.csv.

    Attributes:
        labels: index of the true class (or None) per case; None if there is no column `true`.
    """

    cases: list[str]
    probabilities: np.ndarray  # float64 [n, K], columns in the order of `classes`
    classes: list[str]
    labels: list[int | None] | None = None
    splits: list[str] | None = None
    patients: list[str] | None = None
    clinical_missing: list[list[str]] | None = None  # clinical columns missing in each case; None if not recorded


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
    sets: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Path:
    """Write case, [patient], [split], [true], predicted, [positive_class, called_positive] and p_<class>.

    The bracketed columns are written if given, and likewise `clinical` and `clinical_missing` at the end.
    `predicted` is the class with the highest probability (the first one in a tie). Probabilities have 9
    significant digits, so that float32 values are restored exactly.

    Args:
        path: the file; written completely or left untouched.
        cases: n distinct names.
        probabilities: [n, K].
        labels: index of the true class per case, None if unknown (an empty cell).
        clinical: per case, the names of the clinical columns it had and of those it lacked, for the columns
            `clinical` and `clinical_missing`, separated by semicolons.
        positive: name of the positive one of two classes, written to the column `positive_class`.
        threshold: of the model; ``called_positive`` is yes if the positive probability reaches it, else no.
        sets: columns of the prediction sets, after the probabilities.

    Raises:
        ValueError: bad probabilities, a repeated case, lists of different lengths, a label out of range, a
            folder that cannot be written to.
    """
    probability = as_probabilities(probabilities, classes, cases)
    seen: set[str] = set()
    for case in cases:
        if case in seen:
            raise ValueError(f"case {case}: predicted twice, but every case must occur once: look for it in the data")
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
    columns |= sets
    if clinical is not None:
        columns["clinical"] = ["; ".join(had) for had, _ in clinical]
        columns["clinical_missing"] = ["; ".join(lacked) for _, lacked in clinical]
    for name, values in columns.items():
        if len(values) != len(cases):
            raise ValueError(f"column {name} must have one value per case, found {len(values)} for {len(cases)} cases")
    return write_table(path, columns, zip(*columns.values(), strict=True))


def read_predictions(path: str | Path) -> Predictions:
    """Read a file that `write_predictions` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a missing column, or a cell that is not a number or not a class; names file and line.
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
                raise ValueError(f"{path} line {i + 2}: {PREFIX + name} must be a number, found {found!r}") from None
        if "true" in header:
            if row["true"] and row["true"] not in classes:
                raise ValueError(f"{path} line {i + 2}: true must be one of {classes}, found {row['true']!r}")
            labels.append(classes.index(row["true"]) if row["true"] else None)
    cases = [row["case"] for row in rows]
    lacked = [names.split("; ") if (names := row.get("clinical_missing")) else [] for row in rows]
    return Predictions(
        cases=cases,
        probabilities=as_probabilities(values, classes, cases),
        classes=classes,
        labels=labels if "true" in header else None,
        splits=[row["split"] for row in rows] if "split" in header else None,
        patients=[row["patient"] for row in rows] if "patient" in header else None,
        clinical_missing=lacked if "clinical_missing" in header else None,
    )
