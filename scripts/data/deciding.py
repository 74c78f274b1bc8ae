"""Which cases the decisions of `preparing` are taken on: all of them, or the training cases alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.data.nearest import listing

Case = dict[str, Any]
Splits = Mapping[str, Sequence[Case]]

DECIDE_ON = ("all", "training")


@dataclass(frozen=True)
class Deciding:
    """The cases that may decide on spacing, grid, region and intensity rule, categories and reference phase.

    Args:
        on: ``all``, or ``training``: then nothing in a validation, test or unlabelled case changes a
            decision.

    Raises:
        ValueError: another word.
    """

    on: str = "all"

    def __post_init__(self) -> None:
        if self.on not in DECIDE_ON:
            known = listing(str(self.on), DECIDE_ON)
            raise ValueError(f"decide_on must be one of {known}, found {self.on!r}; correct --decide_on")

    @property
    def kind(self) -> str:
        """What the deciding cases are called: ``training``, or nothing where all decide."""
        return "" if self.on == "all" else self.on

    def of(self, splits: Splits) -> list[Case]:
        """Return the cases that decide, in the order of the splits."""
        return [case for split, cases in splits.items() if self.on in ("all", split) for case in cases]

    def names(self, splits: Splits) -> frozenset[str]:
        """Return the names of the cases that decide."""
        return frozenset(case["case"] for case in self.of(splits))

    def note(self, splits: Splits) -> str:
        """Return the line that says whose data were looked at."""
        number = len(self.of(splits))
        if self.on == "all":
            return (
                f"spacing, grid, intensity rule, reference phase and categories were chosen from all "
                f"{number} cases, test cases among them; --decide_on training uses the training cases alone"
            )
        return (
            f"spacing, grid, intensity rule, reference phase and categories were chosen from the {number} "
            "training cases alone"
        )
