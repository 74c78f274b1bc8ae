"""Whether voxels are those of a mask: a few whole numbers."""

from __future__ import annotations

import numpy as np

MOST_VALUES = 16
"""Different values that a mask has at most, the background included."""
SAMPLED = 100_000
"""Voxels, spread evenly, that are looked at first."""


def mask_values(voxels: np.ndarray) -> list[int] | None:
    """Return the values of a mask, or None where there are many, negative or broken ones, or one alone.

    >>> tuple(mask_values(np.array(mask)) for mask in ([0.0, 1.0, 2.0, 0.0], [0.0, 0.5], [0.0, 0.0, 0.0]))
    ([0, 1, 2], None, None)
    """
    flat = voxels.ravel()
    for part in (flat[:: max(1, flat.size // SAMPLED)], flat):
        found = np.unique(part)
        if len(found) > MOST_VALUES or (found != np.round(found)).any() or found[0] < 0:
            return None
    return [int(value) for value in found] if len(found) > 1 else None
