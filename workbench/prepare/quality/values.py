"""What the voxels of one volume say, a block at a time: memory never holds a large volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from scripts.volumes.volume import Volume
from workbench.prepare.identical import VoxelHash
from workbench.prepare.quality.seen import Slices, Values
from workbench.prepare.quality.thumbnail import ShownRegion, cut_at, slice_picture

SMALL = 16
"""Voxels per axis of the small volume that is compared with the cohort."""
MOST_SAMPLED = 10**6
"""Voxels, spread evenly, from which quantiles are taken."""
KEPT = 2**26
"""Voxels up to which a volume is kept, 256 MiB; a larger one is read from its file twice."""
Blocks = Callable[[], Iterator[np.ndarray]]


def values_of(volume: Volume, region: ShownRegion | None = None) -> Values | None:
    """Read a volume and sum it up; None where no voxel is finite. Its picture is cut through the region."""
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
    every = [Slices(volume.shape, axis, measured=axis == slice_axis) for axis in range(3)]
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
        if first >= 0:  # beyond the block it is empty
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


@dataclass(frozen=True)
class _Levels:
    """What a first reading tells; the names are those of `Values`."""

    not_finite: int
    lowest: float
    low: float
    median: float
    high: float
    highest: float
    digest: str


def _levels(volume: Volume, blocks: Blocks) -> _Levels | None:
    """Return what the finite voxels say, or None where there is none."""
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
    return _Levels(size - finite_voxels, lowest, low, median, high, highest, str(digest))


def _slice_axis(volume: Volume) -> int:
    """Return the axis with the largest spacing; the last of several, as files are mostly written."""
    spacing = volume.spacing
    return int(max(axis for axis in range(3) if spacing[axis] >= spacing.max() * 0.99))


def _averaging(length: int) -> np.ndarray:
    """Return the matrix [16, length] that averages voxels, in parts that share one where 16 is no divisor."""
    part = np.arange(SMALL)
    first, after = part * length // SMALL, -(-(part + 1) * length // SMALL)
    voxel = np.arange(length)
    inside = (voxel >= first[:, None]) & (voxel < after[:, None])
    return (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _normalised(small: np.ndarray) -> np.ndarray:
    """Bring to mean 0 and length 1: the product of two is their correlation."""
    small = small.astype(np.float64)
    small -= small.mean()
    length = np.linalg.norm(small)
    return (small / length if length > 1e-6 else np.zeros_like(small)).astype(np.float32)
