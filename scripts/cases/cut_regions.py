"""Cases whose region the grid shows only in part: told once, by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)
MOST_NAMES = 100


class CutRegions:
    """Collects what the preparation of cases says about their regions.

    Attributes:
        exceeding: cases whose region is larger than the grid and has been cropped to it.
        left_out: case -> share of its mask that lies outside the region, where the mask has several pieces.
    """

    def __init__(self) -> None:
        self.exceeding: set[str] = set()
        self.left_out: dict[str, float] = {}

    def add(self, case: str, cut: Mapping[str, Any]) -> bool:
        """Take what `cut_of` says of a case; returns whether it is cut and was not known."""
        known = case in self.exceeding or case in self.left_out
        if cut["exceeds"]:
            self.exceeding.add(case)
        if cut["left_out"] > 0:
            self.left_out[case] = cut["left_out"]
        return not known and (cut["exceeds"] or cut["left_out"] > 0)

    def tell(self, total: int) -> None:
        """Warn in one line of each kind."""
        if self.exceeding:
            logger.warning(
                "the region of interest is larger than the grid and has been cropped to it in %d of %d "
                "cases: %s; raise grid_size or spacing to see all of it",
                len(self.exceeding), total, _names(sorted(self.exceeding)),
            )  # fmt: skip
        if self.left_out:
            shares = [f"{case} ({percent(share)})" for case, share in sorted(self.left_out.items())]
            logger.warning(
                "the mask has several pieces, which do not fit into the grid together, or of which some are "
                "tiny; the region is the largest, with those that fit, in %d of %d cases, which leaves out, "
                "of the mask's volume: %s; raise grid_size or spacing to see more, or set component of the "
                "region to all",
                len(self.left_out), total, _names(shares),
            )  # fmt: skip


def cut_of(item: Any) -> dict[str, Any]:
    """Return what the region rule and the grid left in an item: `exceeds` and `left_out`."""
    found = item if isinstance(item, Mapping) else {}
    return {
        "exceeds": bool(found.get("region_exceeds_grid", False)),
        "left_out": float(found.get("region_left_out", 0.0)),
    }


def percent(share: float) -> str:
    """Return a share for readers.

    >>> percent(0.483), percent(0.0002)
    ('48%', '< 1%')
    """
    return "< 1%" if share < 0.01 else f"{share:.0%}"


def _names(names: list[str]) -> str:
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + rest
