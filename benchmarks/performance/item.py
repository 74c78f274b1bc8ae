# SPDX-License-Identifier: Apache-2.0
"""One item of the benchmark: the figures it measures, and their goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float]


@dataclass(frozen=True)
class Figure:
    """One number that an item measures in every repeat.

    Attributes:
        name: in the records.
        meaning: what it is, for the table.
        unit: shown after the number; ``x`` is a ratio.
        digits: after the decimal point.
        least: goal: at least this.
        most: goal: at most this.
    """

    name: str
    meaning: str
    unit: str = "x"
    digits: int = 1
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        name: on the command line.
        figures: the rows of its table.
        measure: called with the number of the repeat (also the seed) and a folder to work in; what a machine
            cannot measure is left out.
        long: whether it belongs to the long benchmark.
    """

    name: str
    figures: tuple[Figure, ...]
    measure: Callable[[int, Path], Figures]
    long: bool = False
