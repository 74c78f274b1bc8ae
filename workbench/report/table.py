"""A table of the report, as text; the template lays it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "–"
"""What stands where there is no number."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: what it shows.
        n: how many cases, volumes or jobs are behind it, e.g. "n = 40 cases".
        header: names of the columns; the first column heads the rows.
        rows: cells, the first of each row its name.
        notes: sentences below it.
    """

    title: str
    n: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def number(value: float | None) -> str:
    """Write a metric with three digits.

    >>> number(0.91749), number(None)
    ('0.917', '–')
    """
    return UNKNOWN if value is None else f"{value:.3f}"


def with_interval(row: Mapping[str, Any], metric: str) -> str:
    """Write a metric with its 95% interval, if it has one.

    >>> with_interval({"auc": 0.9, "auc_interval": [0.8, 0.95]}, "auc")
    '0.900 [0.800, 0.950]'
    """
    bounds = row.get(f"{metric}_interval")
    return number(row.get(metric)) + (f" [{number(bounds[0])}, {number(bounds[1])}]" if bounds else "")


def counted(number_of: int, noun: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "case"), counted(1200, "case")
    ('1 case', '1,200 cases')
    """
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
