# SPDX-License-Identifier: Apache-2.0
"""Which outliners a cross-validation needs, and which of them outlines a case: none that saw it, nor the test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scripts.files.plain_text import file_name
from workbench.compare.folds import Fold


@dataclass(frozen=True)
class Outliner:
    """A network that is trained without one outer part of a repeat, or without two, and outlines these."""

    repeat: int
    left_out: tuple[int, ...]  # numbers of the outer parts, in order
    phase: str | None = None  # the only one that it sees; None: all

    @property
    def name(self) -> str:
        """Name of its folder, e.g. r1_without_2_5, or r1_without_2_5_portal."""
        parts = [f"r{self.repeat}_without", *map(str, self.left_out), *([file_name(self.phase)] if self.phase else [])]
        return "_".join(parts)


def outliners_of(parts: Sequence[Fold], phase: str | None = None) -> list[Outliner]:
    """Return the outliners of a cross-validation: of each repeat of K outer parts K (K - 1) / 2 and K.

    Raises:
        ValueError: fewer than 3 outer parts, of which leaving out two leaves none.

    >>> folds = [Fold(1, number, [], [], []) for number in (1, 2, 3)]
    >>> [one.name for one in outliners_of(folds)]
    ['r1_without_1_2', 'r1_without_1_3', 'r1_without_2_3', 'r1_without_1', 'r1_without_2', 'r1_without_3']
    """
    found = []
    for repeat in dict.fromkeys(map(drawing, parts)):
        numbers = sorted({part.fold for part in parts if drawing(part) == repeat})
        if len(numbers) < 3:
            raise ValueError(
                f"outliners leave out two parts of the cases at a time, found {len(numbers)} parts; give --folds 3 or "
                "more"
            )
        left_out = [*combinations(numbers, 2), *((number,) for number in numbers)]
        found += [Outliner(repeat, one, phase) for one in left_out]
    return found


def drawing(part: Fold) -> int:
    """Return the repeat in which the outer parts were drawn; sites are the same in all."""
    return part.repeat if part.site is None else 1


def outlined_by(fold: Fold, parts: Sequence[Fold], phase: str | None = None) -> dict[int, Outliner]:
    """Return which network outlines each case for a fold.

    Cases of the test part: the one that left out the test part; all others, whether they fit weights or guide the
    training: the one that left out their own part and the test part.
    """
    repeat = drawing(fold)
    found: dict[int, Outliner] = {}
    for part in parts:
        if part.repeat == fold.repeat:
            outliner = Outliner(repeat, tuple(sorted({part.fold, fold.fold})), phase)
            found |= dict.fromkeys(part.test, outliner)
    return found
