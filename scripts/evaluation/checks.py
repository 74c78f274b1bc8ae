"""What predictions must be before anything is computed or written from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

SUM_TOLERANCE = 1e-2
"""How far a row of probabilities may be from 1 (room for bf16 and rounded files, none for logits)."""


def as_probabilities(
    probabilities: ArrayLike, classes: Sequence[str] | None = None, cases: Sequence[str] | None = None
) -> np.ndarray:
    """Return probabilities as float64 after checking that they are probabilities.

    Args:
        probabilities: one row per case, one column per class.
        classes: class names, to hold the number of columns against.
        cases: case names, so that an error can name the case.

    Shape:
        probabilities and result: [n, K], n >= 1, K >= 2.

    Raises:
        ValueError: wrong shape; not finite; outside 0..1; a row that does not sum to 1.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            "probabilities must have shape [n cases, K classes] with n >= 1 and K >= 2, found "
            f"{list(values.shape)}"
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
    """Return the probabilities of two models for the same cases and classes, both checked.

    Shape:
        first, second and results: [n, K].

    Raises:
        ValueError: as for `as_probabilities`; two different shapes.
    """
    one = as_probabilities(first)
    return one, as_probabilities(second, [""] * one.shape[1], [f"row {i}" for i in range(len(one))])


def as_labels(labels: ArrayLike, n: int, num_classes: int) -> np.ndarray:
    """Return labels as int64 after checking that they are indices into the classes.

    Args:
        labels: index of the true class of each case.
        n: number of cases that must be there.
        num_classes: K.

    Shape:
        labels and result: [n].

    Raises:
        ValueError: wrong shape, not whole numbers, or outside 0..K-1.
    """
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(
            f"labels must have shape [{n}], one per row of probabilities, found {list(values.shape)}"
        )
    if values.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers (indices into classes), found type {values.dtype}")
    wrong = (values < 0) | (values >= num_classes)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, found {values[first]} in row {first}")
    return values.astype(np.int64)
