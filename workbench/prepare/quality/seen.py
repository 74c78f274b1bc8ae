# SPDX-License-Identifier: Apache-2.0
"""What is kept of a volume and of a case once their files are closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scripts.volumes.mask import distinct
from scripts.volumes.volume import Volume
from workbench.prepare.identical import Place


@dataclass(frozen=True)
class Levels:
    """What a first reading of a volume shows; all but `not_finite` refers to the finite voxels."""

    not_finite: int  # number of NaN and infinite voxels
    # lowest, low, median, high, highest: minimum, 1%, 50% and 99% quantile, maximum
    lowest: float
    low: float
    median: float
    high: float
    highest: float
    digest: str  # the same for two volumes where all voxels are the same


@dataclass(frozen=True)
class Values(Levels):
    """All that the voxels of one volume show."""

    repeated: Mapping[int, Sequence[int]]  # axis of the file -> slices that equal the one after them, from 0
    # slices along `slice_axis`, from 0, after which the image changes abruptly; None where that cannot be told
    jumps: Sequence[int] | None
    slice_axis: int  # the axis of the file with the largest spacing
    small: np.ndarray  # the volume on 16 x 16 x 16 voxels along R, A, S, of mean 0 and length 1, or all 0
    # an axial slice, uint8 [rows, columns], or [rows, columns, 3] with the region's outline
    thumbnail: np.ndarray
    # whether `thumbnail` passes through the point at which the case is shown; else it is the middle slice
    through_region: bool = False


@dataclass(frozen=True)
class VolumeSeen(Place):
    """One phase of a case."""

    problem: str = ""  # why it cannot be read, and what to do; empty where it can
    volume: Volume | None = None  # its grid; None where the header cannot be read
    values: Values | None = None  # its voxels; None where they cannot be read, or none is finite


@dataclass(frozen=True)
class RegionSeen:
    """The mask or the box of a case."""

    kind: str  # mask or box
    file: str = ""  # file of the mask, empty for a box
    problem: str = ""  # why it cannot be read, and what to do
    empty: bool = False  # whether no voxel of the mask is above 0
    # phase -> share of the region that lies inside the phase, 0 to 1
    inside: Mapping[str, float] = field(default_factory=dict)
    # for a mask: shares of its volume in the largest connected piece and in all others at least a tenth as large
    pieces: Sequence[float] = ()
    whole_numbers: bool = True  # whether the values of a mask are few whole numbers


@dataclass(frozen=True)
class CaseSeen:
    """What was seen of one case."""

    case: str
    phases: Mapping[str, VolumeSeen]  # phase -> what was seen of it, in the order of the dataset
    regions: Sequence[RegionSeen]  # its masks, its box, both or none

    @property
    def files(self) -> list[str]:
        """Its files, as far as they are known."""
        files = [seen.file for seen in self.phases.values()] + [region.file for region in self.regions]
        return [file for file in files if file]


def volumes_of(cases: Sequence[CaseSeen]) -> Iterator[VolumeSeen]:
    """Go through all volumes, case by case."""
    for case in cases:
        yield from case.phases.values()


MOST_VALUES = 8  # a slice with at most this many different values is background or a mask, and may repeat
LEAST_SLICES = 12  # volumes with fewer slices are too short to say what is usual
AROUND = 4  # slices on each side that define what is usual
ABRUPT = 4.0  # times the usual change from slice to slice that counts as abrupt


class Neighbours:
    """Compare neighbouring slices along one axis, block by block along the third axis.

    Args:
        axis: axis along which the slices follow each other.
        measured: whether `jumps` will be needed, too.
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
            # a sparse comparison first, as most slices differ
            self._alike[index] &= bool((one[::7, ::7] == other[::7, ::7]).all()) and np.array_equal(one, other)
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
        >>> slices = Neighbours(volume.shape, 0)
        >>> slices.add(volume)
        >>> slices.repeated()
        [1]
        """
        return [index for index in np.flatnonzero(self._alike).tolist() if self._many(index)]

    def jumps(self) -> list[int] | None:
        """Return the slices, from 0, after which the image changes abruptly; None where that cannot be told.

        The change is the mean absolute difference of two neighbouring slices. It is abrupt if it exceeds
        four times the median of those around it and of those of the whole volume. Slices of one value at both
        ends do not count, nor the two changes next to them: images often begin and end abruptly. Volumes with
        fewer than 12 slices and images with few values, such as masks, are not judged.
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
