"""What a check of the data found, and what every check returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault, or one thing worth a look.

    Attributes:
        case: case name.
        phase: its phase; "region" for its mask or box.
        what: what was found, with the numbers.
        remedy: what to do.
        breaks_training: whether training would stop at it, or could not learn from the case.
    """

    case: str
    phase: str
    what: str
    remedy: str
    breaks_training: bool = False

    @property
    def place(self) -> str:
        """Case and phase, as one names them."""
        return f"case {self.case}, {self.phase if self.phase == 'region' else f'phase {self.phase!r}'}"

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.remedy}"


@dataclass(frozen=True)
class Checked:
    """What one check says about all cases.

    Attributes:
        check: what was looked for.
        tested: how many volumes or cases it could look at, and why not at others.
        findings: what it found.
    """

    check: str
    tested: str
    findings: Sequence[Finding]
