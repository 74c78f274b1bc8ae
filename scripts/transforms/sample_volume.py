"""Reading a volume at the points of another grid."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from scripts.data.volumes import Volume

from .frame import box_corners

EDGE = 1e-4  # voxels; a point this far outside the field of view still counts as inside


def sample_volume(
    volume: Volume, grid: np.ndarray, size: tuple[int, int, int], anti_alias: bool = False
) -> tuple[Tensor, Tensor]:
    """Interpolate a volume at the points of a grid, reading no more of it than that needs.

    Trilinear; between the centre and the outer edge of a border voxel its value is kept, as MONAI's border
    padding does. Beyond the outer edges there is no value: `inside` is False and the result 0.

    Args:
        volume: what to read.
        grid: grid index -> mm, [4, 4].
        size: points per axis of the grid.
        anti_alias: smooth the voxels first along axes where the grid is coarser, by a Gaussian of (f - 1) / 2
            voxels for a factor f (as MONAI's Resize does).

    Returns:
        values, float32, and inside, bool, both of shape `size`.
    """
    to_voxel = np.linalg.solve(volume.affine, grid)
    shape = np.array(volume.shape)
    sigma = np.maximum(0.0, (np.linalg.norm(to_voxel[:3, :3], axis=1) - 1) / 2) * anti_alias
    corners = box_corners(np.array([[0] * 3, np.array(size) - 1])) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    values, inside = torch.zeros(size), torch.zeros(size, dtype=torch.bool)
    if (high < -0.5 - EDGE).any() or (low > shape - 0.5 + EDGE).any():
        return values, inside
    border = np.ceil(4 * sigma)
    start = np.clip(np.floor(low + EDGE) - border, 0, shape - 1).astype(int)
    stop = np.clip(np.floor(high - EDGE) + 2 + border, start + 1, shape).astype(int)
    points = _points(to_voxel, size)
    for axis in range(3):
        reached = (points[axis] >= -0.5 - EDGE) & (points[axis] <= shape[axis] - 0.5 + EDGE)
        inside = torch.from_numpy(reached) if axis == 0 else inside & torch.from_numpy(reached)
    if not inside.any():
        return values, inside
    first, second, third = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    block = volume.read((first, second, third))
    if sigma.any():
        from scipy.ndimage import gaussian_filter

        block = gaussian_filter(block, sigma, mode="nearest", truncate=4.0)
    scale = 2.0 / np.maximum(stop - start - 1, 1)
    where = np.stack([(points[axis] - start[axis]) * scale[axis] - 1 for axis in range(3)], axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(block.T))[
        None, None
    ]  # [z, y, x]: grid_sample counts x first
    target = torch.from_numpy(where.astype(np.float32))[None]
    values = grid_sample(source, target, mode="bilinear", padding_mode="border", align_corners=True)[0, 0]
    return values * inside, inside


def _points(to_voxel: np.ndarray, size: tuple[int, int, int]) -> list[np.ndarray]:
    """Return the voxel coordinate along each axis of the volume, for every point of the grid."""
    first, second, third = (np.arange(count, dtype=np.float64) for count in size)
    return [
        (row[0] * first[:, None, None] + row[1] * second[:, None]) + (row[2] * third + row[3])
        for row in to_voxel[:3]
    ]
