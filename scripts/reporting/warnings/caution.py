"""One warning: a number, and what it means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caution:
    """One warning.

    Attributes:
        found: what was found, with its number.
        advice: what it means and what to do.
    """

    found: str
    advice: str
