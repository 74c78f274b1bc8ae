# SPDX-License-Identifier: Apache-2.0
"""Bring values from the network's grid back to the voxels of the original file, and locate their heat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scripts.files.atomic import write_atomically
from scripts.volumes.grid import box_corners, sample_volume
from scripts.volumes.volume import Slices, Volume


class GridVolume(Volume):
    """Values on a grid in memory, as a volume that can be sampled at the points of another grid.

    Args:
        values: [D, H, W].
        affine: index -> mm (R, A, S), [4, 4].
    """

    def __init__(self, values: np.ndarray, affine: np.ndarray) -> None:
        super().__init__(Path("memory"), values.shape, affine)
        self.values = values

    def _read(self, slices: Slices) -> np.ndarray:
        return self.values[slices]


def block_around(grid: Volume, volume: Volume, margin: float = 0.0) -> Slices:
    """Return the block of a volume's voxels that holds a grid and `margin` mm on every side.

    It has at least one voxel per axis, even if the grid lies outside.
    """
    edges = box_corners(np.array([[-0.5] * 3, np.array(grid.shape) - 0.5]))
    to_voxel = np.linalg.solve(volume.affine, grid.affine)
    corners = edges @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    more = margin / volume.spacing
    start = np.clip(np.floor(corners.min(axis=0) - more), 0, np.array(volume.shape) - 1).astype(int)
    stop = np.clip(np.ceil(corners.max(axis=0) + more) + 1, start + 1, volume.shape).astype(int)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return first, second, third


def on_block(grid: Volume, volume: Volume, block: Slices) -> np.ndarray:
    """Interpolate the values of a grid at a block of a volume's voxels, 0 beyond the grid.

    Trilinear; if the volume's voxels are larger than the grid's, values are smoothed first, so that a hot spot
    between two slices shows on the nearer one.

    Returns:
        float32, of the block's shape.
    """
    corner = volume.affine.copy()
    corner[:3, 3] += volume.affine[:3, :3] @ [part.start for part in block]
    size = [part.stop - part.start for part in block]
    values, _ = sample_volume(grid, corner, (size[0], size[1], size[2]), anti_alias=True)
    return values


def to_original_grid(values: np.ndarray, grid_affine: np.ndarray, volume: Volume) -> np.ndarray:
    """Bring values from the network's grid to the voxels of an original volume, 0 beyond the grid.

    Args:
        values: [D, H, W] on the network's grid.
        grid_affine: grid index -> mm, [4, 4]: ``item["grid_affine"]``.
        volume: the phase as opened from its file; its voxels are not read.

    Returns:
        float32, of the volume's shape.
    """
    grid = GridVolume(values, grid_affine)
    block = block_around(grid, volume)
    result = np.zeros(volume.shape, dtype=np.float32)
    result[block] = on_block(grid, volume, block)
    return result


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write values, labels as uint8, else as float32, with position and orientation as both sform and qform."""
    import nibabel

    image = nibabel.Nifti1Image(values if values.dtype == np.uint8 else values.astype(np.float32), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    write_atomically(path, lambda temporary: nibabel.save(image, temporary))
