"""One fault of a folder that is verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LONGEST = 120


@dataclass(frozen=True)
class Finding:
    """What was found at one place, and what must hold there.

    >>> print(Finding("configs/train.yaml", "run::0", "$import os", "an expression of the bundle"))
    configs/train.yaml, run::0: found '$import os', must be an expression of the bundle
    """

    file: str
    key: str
    found: Any
    must: str

    def __str__(self) -> str:
        """Return one line, in which no sign of the folder can move the cursor or turn the text around."""
        place = f"{self.file}, {self.key}" if self.key else self.file
        found = repr(self.found)
        cut = found if len(found) <= LONGEST else f"{found[: LONGEST - 3]}..."
        place = (place if place.isprintable() else ascii(place))[: 2 * LONGEST]
        return f"{place}: found {cut}, must be {self.must}"
