"""The outcome of one comparison of two models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """The difference of a metric between two models, first minus second.

    Attributes:
        first, second: the metric of each.
        difference: first - second.
        lower, upper: 95% interval of the difference; None where there is none, and note says why.
        p_value: two-sided, of no difference; None likewise.
        method: how it was computed.
        note: what a reader should know.
    """

    first: float
    second: float
    difference: float
    lower: float | None
    upper: float | None
    p_value: float | None
    method: str
    note: str = ""


def p_text(p_value: float | None) -> str:
    """Write a p-value with three digits; none is a dash, and none is zero.

    >>> p_text(0.0371), p_text(0.0002), p_text(None)
    ('0.037', '<0.001', '–')
    """
    if p_value is None:
        return "–"
    return f"{p_value:.3f}" if p_value >= 0.0005 else "<0.001"
