# SPDX-License-Identifier: Apache-2.0
"""Read each case once, block by block, and summarise what the checks need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from scripts.cases.document import Item
from scripts.cases.masks import ROI, drawn_values, masks_of, region_mask
from scripts.files.processes import work_through
from scripts.volumes.grid import MaskBox, find_mask_box
from scripts.volumes.mask import mask_values, shares_of_pieces
from scripts.volumes.open import open_volume
from scripts.volumes.volume import Volume
from workbench.prepare.identical import VoxelHash
from workbench.prepare.quality.seen import CaseSeen, Levels, Neighbours, RegionSeen, Values, VolumeSeen
from workbench.prepare.quality.thumbnail import ShownRegion, box_region, cut_at, mask_region, slice_picture

MOST_VOXELS = 2**30  # volumes whose header claims more voxels (4 GiB in memory) are not read
MOST_POINTS = 5000  # voxels of a mask, spread evenly over it, whose positions are compared with the phases


def look_at_cases(items: Sequence[Item], workers: int | None = None) -> list[CaseSeen]:
    """Look at all cases, several at a time."""
    return work_through(look_at_case, items, workers, bar="checking volumes")


def look_at_case(item: Item) -> CaseSeen:
    """Read every volume of a case once; what cannot be read is noted, not raised.

    Args:
        item: also with `structures`, which name the values of its masks, and `outlines`, whether these may be
            empty since no case has a class.
    """
    files = masks_of(item["roi"])
    masks = {phase: _read_mask(file, item.get("structures", [])) for phase, file in files.items()}
    box = item.get("box")
    phase = next(iter(item["image"]), "")
    region = _shown_region(item, region_mask(masks, phase, list(item["image"]), item["image"]), box)
    phases = {phase: _look_at_volume(item, phase, region) for phase in item["image"]}
    volumes = {phase: seen.volume for phase, seen in phases.items() if seen.volume is not None}
    regions = []
    for phase, mask in masks.items():
        seen = {phase: volumes[phase]} if phase in volumes else volumes if phase == ROI else {}
        if not (item.get("outlines") and isinstance(mask, tuple) and mask[0] is None):
            regions.append(_look_at_mask(files[phase], mask, seen))
    if box is not None:
        lattice = np.array(list(product(np.linspace(0.05, 0.95, 10), repeat=3)))
        low, high = np.asarray(box)
        regions.append(RegionSeen("box", inside=_inside(low + lattice * (high - low), volumes)))
    return CaseSeen(item["case"], phases, regions)


Mask = tuple[MaskBox | None, bool] | str
"""The box around a mask, and whether its values are few whole numbers; or why it cannot be read."""


def _read_mask(file: str, structures: Sequence[str]) -> Mask:
    volume, problem = _open(file)
    if volume is None:
        return problem
    try:
        if structures:
            drawn_values(volume, structures)
        return find_mask_box(volume), bool(structures) or mask_values(volume.blocks()) is not None
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
    return RegionSeen("mask", file, inside=_inside(points, volumes), pieces=pieces, whole_numbers=whole_numbers)


def _open(file: str) -> tuple[Volume | None, str]:
    """Open a volume that fits into memory; return it, or None and why not."""
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
    """Return for each phase the share of the points, [N, 3] in mm, inside its voxels, half a voxel beyond centres."""
    found = {}
    for phase, volume in volumes.items():
        index = np.linalg.solve(volume.affine[:3, :3], (points - volume.affine[:3, 3]).T).T
        inside = (index >= -0.5) & (index <= np.array(volume.shape) - 0.5)
        found[phase] = float(inside.all(axis=1).mean())
    return found


def _line(error: BaseException) -> str:
    """Return what an error of a volume says is wrong and what to do, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"there is not enough memory for it ({text}); crop or resample the volume"
    return text


SMALL = 16  # voxels per axis of the small volume that is compared with the cohort
MOST_SAMPLED = 10**6  # voxels, spread evenly, from which quantiles are taken
KEPT = 2**26  # volumes up to this size (256 MiB) are kept in memory; larger ones are read twice
Blocks = Callable[[], Iterator[np.ndarray]]


def values_of(volume: Volume, region: ShownRegion | None = None) -> Values | None:
    """Read a volume and summarise it, with a picture through the region; None where no voxel is finite."""
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    blocks: Blocks = volume.blocks_unchecked
    if math.prod(volume.shape) <= KEPT:
        kept = list(blocks())
        blocks = kept.__iter__
    levels = _levels(volume, blocks)
    if levels is None:
        return None
    slice_axis = _slice_axis(volume)
    orientation = io_orientation(volume.affine)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.shape)
    upright = int(np.flatnonzero(orientation[:, 0] == 2)[0])
    depth = volume.shape[upright]
    cut = cut_at(depth, affine, region)
    number = cut.number if orientation[upright, 1] > 0 else depth - 1 - cut.number
    every = [Neighbours(volume.shape, axis, measured=axis == slice_axis) for axis in range(3)]
    averaging = [_averaging(length) for length in volume.shape]
    small, plane, start = [], [], 0
    for block in blocks():
        if levels.not_finite:
            block = np.where(np.isfinite(block), block, np.float32(levels.lowest))
        for slices in every:
            slices.add(block)
        clipped = np.clip(block, np.float32(levels.low), np.float32(levels.high))
        small.append(np.einsum("iy,xyz->xiz", averaging[1], np.tensordot(averaging[0], clipped, 1)))
        first = number - start if upright == 2 else number
        if first >= 0:  # empty if the slice lies beyond this block
            plane.append(np.take(block, range(first, min(first + 1, block.shape[upright])), upright))
        start += block.shape[2]
    coarse = np.concatenate(small, axis=2) @ averaging[2].T
    axial = apply_orientation(np.concatenate(plane, axis=2), orientation)[:, :, 0]
    return Values(
        **vars(levels),
        repeated={axis: slices.repeated() for axis, slices in enumerate(every)},
        jumps=every[slice_axis].jumps(),
        slice_axis=slice_axis,
        small=_normalised(apply_orientation(coarse, orientation)),
        thumbnail=slice_picture(axial, affine, cut, levels.low, levels.high, region),
        through_region=cut.through,
    )


def _levels(volume: Volume, blocks: Blocks) -> Levels | None:
    """Return what the finite voxels show, or None if no voxel is finite."""
    size = math.prod(volume.shape)
    chosen = np.arange(0, size, max(1, size // MOST_SAMPLED))
    x, y, z = (index.astype(np.int32) for index in np.unravel_index(chosen, volume.shape))
    digest, lowest, highest, finite_voxels, start = VoxelHash(volume.shape), np.inf, -np.inf, 0, 0
    sample = np.empty(len(chosen), np.float32)
    for block in blocks():
        digest.add(block)
        here = np.flatnonzero((z >= start) & (z < start + block.shape[2]))
        sample[here] = block[x[here], y[here], z[here] - start]
        finite = np.isfinite(block)
        count = int(finite.sum())
        if count:
            lowest = min(lowest, float(block.min(where=finite, initial=np.inf)))
            highest = max(highest, float(block.max(where=finite, initial=-np.inf)))
        finite_voxels += count
        start += block.shape[2]
    if not finite_voxels:
        return None
    sample[~np.isfinite(sample)] = lowest
    low, median, high = (float(value) for value in np.quantile(sample, [0.01, 0.5, 0.99]))
    return Levels(size - finite_voxels, lowest, low, median, high, highest, str(digest))


def _slice_axis(volume: Volume) -> int:
    """Return the axis with the largest spacing; of several the last, as most files store slices."""
    spacing = volume.spacing
    return int(max(axis for axis in range(3) if spacing[axis] >= spacing.max() * 0.99))


def _averaging(length: int) -> np.ndarray:
    """Return the matrix [16, length] that averages voxels in 16 parts, which overlap if 16 is no divisor."""
    part = np.arange(SMALL)
    first, after = part * length // SMALL, -(-(part + 1) * length // SMALL)
    voxel = np.arange(length)
    inside = (voxel >= first[:, None]) & (voxel < after[:, None])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _normalised(small: np.ndarray) -> np.ndarray:
    """Scale to mean 0 and norm 1, so that the product of two is their correlation."""
    small = small.astype(np.float64)
    small -= small.mean()
    length = np.linalg.norm(small)
    return (small / length if length > 1e-6 else np.zeros_like(small)).astype(np.float32)
