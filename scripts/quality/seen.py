"""What is kept of a volume and of a case once their files are closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scripts.data.volumes import Volume


@dataclass(frozen=True)
class Values:
    """What the voxels of one volume say; everything but `not_finite` is of the finite ones.

    Attributes:
        not_finite: number of NaN and infinite voxels.
        lowest, low, median, high, highest: minimum, 1%, 50% and 99% quantile, maximum.
        repeated: axis of the file -> slices that equal the one after them, from 0.
        jumps: slices after which the image changes abruptly, along `slice_axis`, from 0; None where that
            cannot be said.
        slice_axis: the axis of the file with the largest spacing.
        small: the volume on 16 x 16 x 16 voxels along R, A, S, of mean 0 and length 1, or all 0.
        digest: text that two volumes share where all voxels are the same.
        thumbnail: an axial slice, uint8 [rows, columns], or [rows, columns, 3] with the region's outline.
        through_region: whether it passes through the point at which the case is shown, else it is the middle.
    """

    not_finite: int
    lowest: float
    low: float
    median: float
    high: float
    highest: float
    repeated: Mapping[int, Sequence[int]]
    jumps: Sequence[int] | None
    slice_axis: int
    small: np.ndarray
    digest: str
    thumbnail: np.ndarray
    through_region: bool = False


@dataclass(frozen=True)
class VolumeSeen:
    """One phase of a case.

    Attributes:
        case, patient, split, phase, file: where it is used.
        problem: why it cannot be read, and what to do; empty where it can.
        volume: its grid; None where the header cannot be read.
        values: its voxels; None where they cannot be read, or none is finite.
    """

    case: str
    patient: str
    split: str
    phase: str
    file: str
    problem: str = ""
    volume: Volume | None = None
    values: Values | None = None


@dataclass(frozen=True)
class RegionSeen:
    """The mask or the box of a case.

    Attributes:
        kind: mask or box.
        file: file of the mask, empty for a box.
        problem: why it cannot be read, and what to do.
        empty: whether no voxel of the mask is above 0.
        inside: phase -> share of the region that lies inside the phase, 0 to 1.
        pieces: of a mask, shares of its volume of the largest connected piece and of all others that are at
            least a tenth of it.
        whole_numbers: whether the values of a mask are few whole numbers.
    """

    kind: str
    file: str = ""
    problem: str = ""
    empty: bool = False
    inside: Mapping[str, float] = field(default_factory=dict)
    pieces: Sequence[float] = ()
    whole_numbers: bool = True


@dataclass(frozen=True)
class CaseSeen:
    """One case.

    Attributes:
        case: its name.
        phases: phase -> what was seen of it, in the order of the dataset.
        regions: its mask, its box, both or none.
    """

    case: str
    phases: Mapping[str, VolumeSeen]
    regions: Sequence[RegionSeen]

    @property
    def files(self) -> list[str]:
        """Its files, as far as they are known."""
        files = [seen.file for seen in self.phases.values()] + [region.file for region in self.regions]
        return [file for file in files if file]


def volumes_of(cases: Sequence[CaseSeen]) -> Iterator[VolumeSeen]:
    """Go through all volumes, case by case."""
    for case in cases:
        yield from case.phases.values()
