"""A forest plot of a comparison: the pooled AUC of each strategy with its interval, on one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .comparison import Comparison
from .table import number

STEP = 0.1
"""Between two ticks of the axis."""


@dataclass(frozen=True)
class Line:
    """One strategy: its name, its value as text, and value and bounds in percent of the axis."""

    name: str
    text: str
    at: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Forest:
    """Lines, ticks (position in percent, text), the caption and how many cases are behind each line."""

    lines: list[Line]
    ticks: list[tuple[float, str]]
    caption: str
    n: str


def forest(comparison: Comparison) -> Forest:
    """Place pooled AUC and interval of each strategy on an axis that ends at 1."""
    rows = [row for row in comparison.of("auc") if row["pooled"] is not None]
    least = min(
        (row["pooled"] if row["pooled_lower"] is None else row["pooled_lower"] for row in rows), default=0.5
    )
    start = max(0.0, min(0.5, math.floor(least / STEP) * STEP))

    def place(value: float) -> float:
        return round(100 * (value - start) / (1 - start), 2)

    lines = []
    for row in rows:
        lower, upper = (
            row["pooled"] if row[key] is None else row[key] for key in ("pooled_lower", "pooled_upper")
        )
        text = f"{number(row['pooled'])} [{number(lower)}, {number(upper)}]"
        lines.append(Line(row["strategy"], text, place(row["pooled"]), place(lower), place(upper)))
    count = round((1 - start) / STEP)
    ticks = [(place(start + STEP * step), f"{start + STEP * step:.1f}") for step in range(count + 1)]
    caption = (
        "Pooled AUC with its 95% interval: the further to the right the better; the line at 0.5 is guessing."
    )
    return Forest(lines, ticks, caption, comparison.n)
