"""Neighbouring slices of a volume: the same twice, or further apart than the others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scripts.data.mask_values import distinct

MOST_VALUES = 8
"""A slice with at most so many different values is background or a mask, and may repeat."""
LEAST_SLICES = 12
"""Volumes with fewer slices are too short to say what is usual."""
AROUND = 4
"""Slices on each side that say what is usual."""
ABRUPT = 4.0
"""Times the usual change from slice to slice that counts as abrupt."""


class Slices:
    """What the slices along one axis have in common with their neighbours, from blocks along the third axis.

    Args:
        shape: of the volume.
        axis: that the slices lie along.
        measured: whether `jumps` will be asked for, too.
    """

    def __init__(self, shape: tuple[int, ...], axis: int, measured: bool = True) -> None:
        count = shape[axis]
        self._axis, self._measured, self._start = axis, measured, 0
        self._alike = np.ones(count - 1, dtype=bool)
        self._values = [np.empty(0)] * count
        self._lowest, self._highest = np.full(count, np.inf), np.full(count, -np.inf)
        self._changes = np.zeros(count - 1)
        self._last: np.ndarray | None = None

    def add(self, block: np.ndarray) -> None:
        """Take the next block into account; its voxels are finite."""
        slices = list(np.moveaxis(block, self._axis, 0))
        start = self._start if self._axis == 2 else 0
        if self._axis == 2:
            self._start += len(slices)
            slices, start = ([*([] if self._last is None else [self._last]), *slices], max(0, start - 1))
            self._last = slices[-1].copy()
        for index, (one, other) in enumerate(pairwise(slices), start):
            self._alike[index] &= bool((one[::7, ::7] == other[::7, ::7]).all()) and np.array_equal(
                one, other
            )
            if self._measured:
                self._changes[index] += np.abs(one - other).sum(dtype=np.float64)
        for index, one in enumerate(slices, start):
            asked = self._measured or self._alike[index : index + 1].any()
            if asked and len(self._values[index]) <= MOST_VALUES:
                self._values[index] = distinct(one, MOST_VALUES, self._values[index])
            if self._measured:
                self._lowest[index] = min(self._lowest[index], one.min())
                self._highest[index] = max(self._highest[index], one.max())

    def repeated(self) -> list[int]:
        """Return the slices, from 0, with the voxels of the next one; those of few values do not count.

        >>> ramp = np.arange(100.0).reshape(10, 10)
        >>> volume = np.stack([ramp, ramp + 1, ramp + 1, ramp, 0 * ramp, 0 * ramp])
        >>> slices = Slices(volume.shape, 0)
        >>> slices.add(volume)
        >>> slices.repeated()
        [1]
        """
        return [index for index in np.flatnonzero(self._alike).tolist() if self._many(index)]

    def jumps(self) -> list[int] | None:
        """Return the slices, from 0, after which the image changes abruptly; None where nothing can be said.

        The change is the mean absolute difference of two neighbouring slices. It is abrupt where it is more
        than four times the median of those around it and of those of the whole volume. Slices of one value at
        both ends do not count, nor the two changes next to them: images often begin and end abruptly. Nothing
        is said of less than 12 slices, and of images with few values, such as masks.
        """
        flat = self._lowest == self._highest
        first, after = int(flat.argmin()), len(flat) - int(flat[::-1].argmin())
        if after - first < LEAST_SLICES or not self._many(first + (after - first) // 2):
            return None
        changes = self._changes[first : after - 1]
        usual = np.median(changes[changes > 0]) if changes.any() else 0.0
        found = []
        for index in range(2, len(changes) - 2):
            around = np.delete(changes[max(0, index - AROUND) : index + AROUND + 1], min(index, AROUND))
            if changes[index] > ABRUPT * max(usual, np.median(around)):
                found.append(first + index)
        return found

    def _many(self, index: int) -> bool:
        return len(self._values[index]) > MOST_VALUES
