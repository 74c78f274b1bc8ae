"""One look at the headers and masks of all cases, by which reference phase, spacing and grid are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from scripts.data.extents import mask_limits, open_phase, ras_axes, voxel_corners
from scripts.data.volumes import Volume
from scripts.transforms.frame import bounds, box_corners, field_of_view, frame_axes
from scripts.workers import BadCases, lines_of, work_through


@dataclass(frozen=True)
class CaseGrids:
    """What the headers of a case say, and where its region lies.

    Attributes:
        case: its name.
        volumes: phase -> its volume, opened.
        region: corners in mm (RAS) of its box, where every case has one, else of the box around its mask, [8,
            3]; None where it has neither.
    """

    case: str
    volumes: Mapping[str, Volume]
    region: np.ndarray | None

    def spacing(self, phase: str) -> np.ndarray:
        """Return the spacing of a phase in mm along R, A, S."""
        volume = self.volumes[phase]
        return volume.spacing[ras_axes(volume)]

    def covered(self, phase: str) -> float:
        """Return the share of the region that lies inside a phase, 0 to 1; without a region 1."""
        if self.region is None:
            return 1.0
        volume = self.volumes[phase]
        axes = frame_axes(volume.affine, volume.shape)
        low, high = bounds(self.region, axes)
        seen = field_of_view(volume.affine, volume.shape, axes)
        shared = np.maximum(0, np.minimum(high, seen[1]) - np.maximum(low, seen[0]))
        return float(shared.prod() / (high - low).prod())

    def extent(self, volume: Volume, with_region: bool) -> np.ndarray:
        """Return the size in mm of the region, or of the volume, along the axes of one of its volumes."""
        axes = frame_axes(volume.affine, volume.shape)
        if with_region and self.region is not None:
            low, high = bounds(self.region, axes)
        else:
            low, high = field_of_view(volume.affine, volume.shape, axes)
        return high - low


def look_at_grids(cases: Sequence[dict[str, Any]], workers: int | None = None) -> list[CaseGrids]:
    """Open all volumes of all cases without reading their voxels, and read their masks.

    Args:
        cases: entries of dataset.json with absolute paths.
        workers: threads at a time; None takes one per core.

    Raises:
        BadCases: files that cannot be opened, masks that cannot be read or have no voxel; all of them.
    """
    boxes = all(entry.get("box") for entry in cases)
    return work_through(partial(_look, boxes), cases, workers, bar="reading headers")


def _look(boxes: bool, entry: dict[str, Any]) -> CaseGrids:
    volumes: dict[str, Volume] = {}
    problems: list[str] = []
    region = None
    for phase, path in entry["image"].items():
        try:
            volumes[phase] = open_phase(path, entry["case"], phase)
        except (ValueError, OSError) as error:
            problems += lines_of(error)
    if entry.get("box") and (boxes or not entry.get("roi")):
        region = box_corners(np.asarray(entry["box"]))
    elif entry.get("roi"):
        try:
            mask = open_phase(entry["roi"], entry["case"], "roi")
            region = voxel_corners(mask, *mask_limits(mask, entry["case"]))
        except (ValueError, OSError) as error:
            problems += lines_of(error)
    if problems:
        raise BadCases(problems)
    return CaseGrids(entry["case"], volumes, region)
