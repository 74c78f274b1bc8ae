"""Neighbouring slices of a volume: the same twice, or further apart than the others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

MOST_VALUES = 8
"""A slice with at most so many different values is background or a mask, and may repeat."""
LEAST_SLICES = 12
"""Volumes with fewer slices are too short to say what is usual."""
AROUND = 4
"""Slices on each side that say what is usual."""
ABRUPT = 4.0
"""Times the usual change from slice to slice that counts as abrupt."""


def repeated_slices(slices: np.ndarray) -> list[int]:
    """Return the slices, from 0, whose voxels are those of the next one; slices of few values do not count.

    >>> ramp = np.arange(100.0).reshape(10, 10)
    >>> repeated_slices(np.stack([ramp, ramp + 1, ramp + 1, ramp, 0 * ramp, 0 * ramp]))
    [1]
    """
    found = []
    for index, (one, other) in enumerate(pairwise(slices)):
        alike = (one[::7, ::7] == other[::7, ::7]).all() and np.array_equal(one, other)
        if alike and len(np.unique(one)) > MOST_VALUES:
            found.append(index)
    return found


def jumps(slices: np.ndarray) -> list[int] | None:
    """Return the slices, from 0, after which the image changes abruptly; None where nothing can be said.

    The change is the mean absolute difference of two neighbouring slices. It is abrupt where it is more than
    four times the median of those around it and of those of the whole volume. Slices of one value at both
    ends do not count, nor the two changes next to them: images often begin and end abruptly. Nothing is said
    of less than 12 slices, and of images with few values, such as masks.
    """
    flat = np.array([one.min() == one.max() for one in slices])
    first = int(flat.argmin())
    slices = slices[first : len(slices) - int(flat[::-1].argmin())]
    if len(slices) < LEAST_SLICES or len(np.unique(slices[len(slices) // 2])) <= MOST_VALUES:
        return None
    changes = np.array([np.abs(one - other).mean(dtype=np.float64) for one, other in pairwise(slices)])
    usual = np.median(changes[changes > 0]) if changes.any() else 0.0
    found = []
    for index in range(2, len(changes) - 2):
        around = np.delete(changes[max(0, index - AROUND) : index + AROUND + 1], min(index, AROUND))
        if changes[index] > ABRUPT * max(usual, np.median(around)):
            found.append(first + index)
    return found
