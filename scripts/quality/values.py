"""What the voxels of one volume say, from one reading of the file."""

from __future__ import annotations

import numpy as np

from scripts.data.identical import voxel_hash
from scripts.data.volumes import Volume

from .seen import Values
from .shown_region import ShownRegion
from .slices import jumps, repeated_slices
from .thumbnail import slice_picture

SMALL = 16
"""Voxels per axis of the small volume that is compared with the cohort."""
MOST_SAMPLED = 10**6
"""Voxels, spread evenly, from which quantiles are taken."""


def values_of(volume: Volume, region: ShownRegion | None = None) -> Values | None:
    """Read a volume and sum it up; None where no voxel is finite. Its picture is cut through the region.

    Raises:
        BadVolume: the file cannot be read.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    voxels = volume.read_unchecked()
    digest = voxel_hash(volume.shape, voxels)
    finite = np.isfinite(voxels)
    not_finite = int(voxels.size - finite.sum())
    if not_finite == voxels.size:
        return None
    if not_finite:
        voxels = np.where(finite, voxels, voxels[finite].min())
    sample = voxels.ravel()[:: max(1, voxels.size // MOST_SAMPLED)]
    low, median, high = (float(value) for value in np.quantile(sample, [0.01, 0.5, 0.99]))
    slice_axis = _slice_axis(volume)
    orientation = io_orientation(volume.affine)
    ras = apply_orientation(voxels, orientation)
    affine = volume.affine @ inv_ornt_aff(orientation, volume.shape)
    thumbnail, through = slice_picture(ras, affine, low, high, region)
    return Values(
        not_finite=not_finite,
        lowest=float(voxels.min()),
        low=low,
        median=median,
        high=high,
        highest=float(voxels.max()),
        repeated={axis: repeated_slices(np.moveaxis(voxels, axis, 0)) for axis in range(3)},
        jumps=jumps(np.moveaxis(voxels, slice_axis, 0)),
        slice_axis=slice_axis,
        small=_small(np.clip(ras, low, high)),
        digest=digest,
        thumbnail=thumbnail,
        through_region=through,
    )


def _slice_axis(volume: Volume) -> int:
    """Return the axis with the largest spacing; the last of several, as files are mostly written."""
    spacing = volume.spacing
    return int(max(axis for axis in range(3) if spacing[axis] >= spacing.max() * 0.99))


def _small(ras: np.ndarray) -> np.ndarray:
    """Average to few voxels, of mean 0 and length 1: the product of two is their correlation."""
    import torch

    pool = torch.nn.functional.adaptive_avg_pool3d
    small = pool(torch.from_numpy(np.ascontiguousarray(ras))[None], SMALL)[0].numpy().astype(np.float64)
    small -= small.mean()
    length = np.linalg.norm(small)
    return (small / length if length > 1e-6 else np.zeros_like(small)).astype(np.float32)
