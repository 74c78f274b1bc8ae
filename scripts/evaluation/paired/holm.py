"""Many tests at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Adjust p-values so that, over all m tests, the chance of any false finding stays at the level.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\left(1, (m - j + 1)\, p_{(j)}\right)

    for the p-values in rising order: never less powerful than Bonferroni's factor m, and valid whatever the
    dependence between the tests.

    Args:
        p_values: of all the tests that were made, not only of those that came out well.

    Reference: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must lie between 0 and 1, found {p.tolist()}")
    order = np.argsort(p, kind="stable")
    rising = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(rising)
    adjusted[order] = rising
    return adjusted.tolist()


def add_holm(rows: Sequence[dict[str, Any]]) -> None:
    """Set `p_holm` of each row to its corrected `p_value`: of all rows that have one, and None elsewhere."""
    tested = [row for row in rows if row["p_value"] is not None]
    for row in rows:
        row["p_holm"] = None
    for row, p_value in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_holm"] = p_value
