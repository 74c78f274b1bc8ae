"""Sizes and corners in mm of blocks of voxels, along the patient's axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scripts.data.volumes import BadVolume, Volume, open_volume


def open_phase(path: str, case: str, phase: str) -> Volume:
    """Open a volume under the name that its messages give it: case and phase."""
    return open_volume(path, f"case {case}: phase {phase!r}")


def ras_axes(volume: Volume) -> np.ndarray:
    """Return, for each of the axes R, A, S, the voxel axis nearest to it."""
    from nibabel.orientations import io_orientation

    return np.argsort(io_orientation(volume.affine)[:, 0])


def voxel_corners(volume: Volume, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Return the outer corners in mm (RAS) of the block of voxels `low` to `high`, both included, [8, 3]."""
    edges = np.stack([np.asarray(low) - 0.5, np.asarray(high) + 0.5])
    corners = np.stack(np.meshgrid(*edges.T, indexing="ij"), axis=-1).reshape(-1, 3)
    return corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def ras_bounds(volume: Volume, low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners in mm (RAS) of the axis-aligned box around the voxels `low` to `high`, included."""
    points = voxel_corners(volume, low, high)
    return points.min(axis=0), points.max(axis=0)


def mask_limits(mask: Volume, case: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last voxel index above 0 along each axis.

    Raises:
        BadVolume: no voxel is above 0.
    """
    voxels = np.argwhere(mask.read() > 0)
    if not len(voxels):
        raise BadVolume(
            f"case {case}: the region mask must have a voxel above 0, found none in {mask.path}; "
            "correct the mask or remove the case"
        )
    return voxels.min(axis=0), voxels.max(axis=0)
