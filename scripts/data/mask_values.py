"""Whether voxels are those of a mask: a few whole numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

MOST_VALUES = 16
"""Different values that a mask has at most, the background included."""
SAMPLED = 1000
"""Voxels, spread evenly over a block, that are looked at first."""


def mask_values(blocks: Iterable[np.ndarray]) -> list[int] | None:
    """Return the values of a mask, or None where there are many, negative or broken ones, or one alone.

    >>> tuple(mask_values([np.array(mask)]) for mask in ([0.0, 1.0, 2.0, 0.0], [0.0, 0.5], [0.0, 0.0, 0.0]))
    ([0, 1, 2], None, None)
    """
    found = np.empty(0)
    for block in blocks:
        found = distinct(block, MOST_VALUES, found)
        if len(found) > MOST_VALUES or (found != np.round(found)).any() or found[0] < 0:
            return None
    return [int(value) for value in found] if len(found) > 1 else None


def distinct(voxels: np.ndarray, most: int, known: np.ndarray) -> np.ndarray:
    """Return the different values of voxels, and those known before, sorted; some of them if over `most`.

    >>> distinct(np.array([3.0, 1.0, 3.0]), 8, np.array([2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    rest = voxels.ravel(order="K")
    found = np.union1d(known, rest[:: max(1, rest.size // SAMPLED)])
    while len(found) <= most and (rest := rest[~np.isin(rest, found)]).size:
        found = np.union1d(found, rest[:SAMPLED])
    return found
