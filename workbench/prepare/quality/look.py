"""Reads each case once and keeps what the checks need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from scripts.cases.document import Item
from scripts.files.workers import work_through
from scripts.volumes.grid import MaskBox, find_mask_box
from scripts.volumes.mask import mask_values, shares_of_pieces
from scripts.volumes.open import open_volume
from scripts.volumes.volume import Volume
from workbench.prepare.quality.seen import CaseSeen, RegionSeen, VolumeSeen
from workbench.prepare.quality.thumbnail import ShownRegion, box_region, mask_region
from workbench.prepare.quality.values import values_of

MOST_VOXELS = 2**30
"""Volumes whose header claims more voxels (4 GiB in memory) are not read."""
MOST_POINTS = 5000
"""Voxels of a mask, spread evenly over it, whose positions are compared with the phases."""


def look_at_cases(items: Sequence[Item], workers: int | None = None) -> list[CaseSeen]:
    """Look at all cases, several at a time."""
    return work_through(look_at_case, items, workers, bar="checking volumes")


def look_at_case(item: Item) -> CaseSeen:
    """Read every volume of a case once; what cannot be read is noted, not raised."""
    mask = None if item["roi"] is None else _read_mask(item["roi"])
    box = item.get("box")
    region = _shown_region(item, mask, box)
    phases = {phase: _look_at_volume(item, phase, region) for phase in item["image"]}
    volumes = {phase: seen.volume for phase, seen in phases.items() if seen.volume is not None}
    regions = []
    if mask is not None:
        regions.append(_look_at_mask(item["roi"], mask, volumes))
    if box is not None:
        lattice = np.array(list(product(np.linspace(0.05, 0.95, 10), repeat=3)))
        low, high = np.asarray(box)
        regions.append(RegionSeen("box", inside=_inside(low + lattice * (high - low), volumes)))
    return CaseSeen(item["case"], phases, regions)


Mask = tuple[MaskBox | None, bool] | str
"""The box around a mask, and whether its values are few whole numbers; or why it cannot be read."""


def _read_mask(file: str) -> Mask:
    volume, problem = _open(file)
    if volume is None:
        return problem
    try:
        return find_mask_box(volume), mask_values(volume.blocks()) is not None
    except (ValueError, MemoryError) as error:
        return _line(error)


def _shown_region(item: Item, mask: Mask | None, box: Any) -> ShownRegion | None:
    """Return where the pictures of a case are cut: its mask, its box, else the middle of its first phase."""
    if isinstance(mask, tuple) and mask[0] is not None:
        return mask_region(mask[0].inside, mask[0].affine)
    if box is not None:
        return box_region(*np.asarray(box, dtype=float))
    for file in item["image"].values():
        volume, _ = _open(file)
        if volume is not None:
            middle = [(length - 1) // 2 for length in volume.shape]
            return ShownRegion(volume.affine[:3, :3] @ middle + volume.affine[:3, 3])
    return None


def _look_at_volume(item: Item, phase: str, region: ShownRegion | None) -> VolumeSeen:
    place = (item["case"], item["patient"], item["split"], phase, item["image"][phase])
    volume, problem = _open(item["image"][phase])
    if volume is None:
        return VolumeSeen(*place, problem)
    try:
        return VolumeSeen(*place, volume=volume, values=values_of(volume, region))
    except (ValueError, MemoryError) as error:
        return VolumeSeen(*place, _line(error), volume)


def _look_at_mask(file: str, mask: Mask, volumes: Mapping[str, Volume]) -> RegionSeen:
    if isinstance(mask, str):
        return RegionSeen("mask", file, mask)
    box, whole_numbers = mask
    if box is None:
        return RegionSeen("mask", file, empty=True)
    flat = np.flatnonzero(box.inside)
    chosen = flat[np.unique(np.linspace(0, len(flat) - 1, MOST_POINTS).round().astype(int))]
    index = np.stack(np.unravel_index(chosen, box.inside.shape), axis=1)
    points = index @ box.affine[:3, :3].T + box.affine[:3, 3]
    pieces = shares_of_pieces(box.inside)
    return RegionSeen(
        "mask", file, inside=_inside(points, volumes), pieces=pieces, whole_numbers=whole_numbers
    )


def _open(file: str) -> tuple[Volume | None, str]:
    """Open a volume that memory can hold; returns it, or None and why not."""
    try:
        volume = open_volume(file)
    except (OSError, ValueError, MemoryError) as error:
        return None, _line(error)
    if math.prod(volume.shape) > MOST_VOXELS:
        size = " x ".join(f"{length:,}" for length in volume.shape)
        rule = f"the volume must have at most {MOST_VOXELS:,} voxels, its header claims {size} in {file}"
        return None, f"{rule}; correct the header, or crop or resample the volume"
    return volume, ""


def _inside(points: np.ndarray, volumes: Mapping[str, Volume]) -> dict[str, float]:
    """Return for each phase the share of the points, [N, 3] in mm, that lie inside its voxels."""
    found = {}
    for phase, volume in volumes.items():
        index = np.linalg.solve(volume.affine[:3, :3], (points - volume.affine[:3, 3]).T).T
        inside = (index >= -0.5) & (index <= np.array(volume.shape) - 0.5)
        found[phase] = float(inside.all(axis=1).mean())
    return found


def _line(error: BaseException) -> str:
    """Return what is wrong and what to do, as errors of volumes say it, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"there is not enough memory for it ({text}); crop or resample the volume"
    return text
