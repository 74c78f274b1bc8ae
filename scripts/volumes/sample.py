"""Reading a volume at the points of another grid."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import grid_sample

from scripts.volumes.grid import box_corners
from scripts.volumes.volume import Volume

EDGE = 1e-4  # voxels; differences of position this small do not count
Size = tuple[int, int, int]


def sample_volume(
    volume: Volume, grid: np.ndarray, size: Size, anti_alias: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a volume at the points of a grid, reading no more of it than that needs.

    Trilinear; between the centre and the outer edge of a border voxel its value is kept, as MONAI's border
    padding does. Beyond the outer edges there is no value: `inside` is False and the result 0.

    Args:
        grid: grid index -> mm, [4, 4].
        anti_alias: smooth the voxels first along axes where the grid is coarser, by a Gaussian of (f - 1) / 2
            voxels for a factor f (as MONAI's Resize does).

    Returns:
        values, float32, and inside, bool, both of shape `size`.
    """
    to_voxel = np.linalg.solve(volume.affine, grid)[:3]
    shape = np.array(volume.shape)
    corners = box_corners(np.array([[0] * 3, np.array(size) - 1])) @ to_voxel[:, :3].T + to_voxel[:, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    if (high < -0.5 - EDGE).any() or (low > shape - 0.5 + EDGE).any():
        return np.zeros(size, dtype=np.float32), np.zeros(size, dtype=bool)
    sigma = np.maximum(0.0, (np.linalg.norm(to_voxel[:, :3], axis=1) - 1) / 2) * anti_alias
    border = np.ceil(4 * sigma)
    start = np.clip(np.floor(low + EDGE) - border, 0, shape - 1).astype(int)
    stop = np.clip(np.floor(high - EDGE) + 2 + border, start + 1, shape).astype(int)
    first, second, third = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    block = volume.read((first, second, third))
    if sigma.any():
        from scipy.ndimage import gaussian_filter

        block = gaussian_filter(block, sigma, mode="nearest", truncate=4.0)
    drivers = _drivers(to_voxel, size)
    points = _points(to_voxel, size, drivers)
    inside = np.ones(size, dtype=bool)
    for axis in range(3):
        inside &= (points[axis] >= -0.5 - EDGE) & (points[axis] <= shape[axis] - 0.5 + EDGE)
    points = [point - offset for point, offset in zip(points, start, strict=True)]
    values = _sample_anywhere(block, points) if drivers is None else _sample_axes(block, points, drivers)
    return np.where(inside, values, np.float32(0)), inside


def _drivers(to_voxel: np.ndarray, size: Size) -> list[int] | None:
    """Return, for each axis of the volume, the grid axis parallel to it; None where the two are oblique."""
    movement = np.abs(to_voxel[:, :3]) * np.maximum(np.array(size) - 1, 1)
    drivers = np.abs(to_voxel[:, :3]).argmax(axis=1)
    movement[np.arange(3), drivers] = 0
    parallel = sorted(drivers) == [0, 1, 2] and (movement.sum(axis=1) < EDGE).all()
    return [int(driver) for driver in drivers] if parallel else None


def _points(to_voxel: np.ndarray, size: Size, drivers: list[int] | None) -> list[np.ndarray]:
    """Return the voxel coordinate along each axis of the volume for every point of the grid.

    The arrays can be broadcast to [D, H, W]; with parallel axes each varies along one of them only.
    """
    steps = np.ogrid[: size[0], : size[1], : size[2]]
    if drivers is not None:
        return [row[driver] * steps[driver] + row[3] for row, driver in zip(to_voxel, drivers, strict=True)]
    return [(row[0] * steps[0] + row[1] * steps[1]) + (row[2] * steps[2] + row[3]) for row in to_voxel]


def _sample_axes(block: np.ndarray, points: list[np.ndarray], drivers: list[int]) -> np.ndarray:
    """Interpolate one axis after the other, which is trilinear where the axes are parallel, and faster."""
    values = block.transpose(np.argsort(drivers))
    growth = [point.size / count for point, count in zip(points, block.shape, strict=True)]
    for axis in np.argsort(growth):
        driver, last = drivers[axis], block.shape[axis] - 1
        where = np.clip(points[axis], 0, last)
        below = where.astype(int)
        lower = values.take(below.ravel(), axis=driver)
        upper = values.take(np.minimum(below + 1, last).ravel(), axis=driver)
        values = lower + (where - below).astype(np.float32) * (upper - lower)
    return values


def _sample_anywhere(block: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
    """Interpolate at any points of a block."""
    scale = [2.0 / max(count - 1, 1) for count in block.shape]
    where = np.stack([point * part - 1 for point, part in zip(points, scale, strict=True)], axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(block.T))[
        None, None
    ]  # [z, y, x]: grid_sample counts x first
    target = torch.from_numpy(where.astype(np.float32))[None]
    return grid_sample(source, target, mode="bilinear", padding_mode="border", align_corners=True)[
        0, 0
    ].numpy()
