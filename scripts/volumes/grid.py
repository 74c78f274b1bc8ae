# SPDX-License-Identifier: Apache-2.0
"""Grids in mm along the patient's axes: sizes, corners, and sampling a volume at the points of another grid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import ArrayLike
from scripts.volumes.open import open_volume
from scripts.volumes.volume import BadVolume, Volume
from torch.nn.functional import grid_sample


def open_phase(path: str, case: str, phase: str) -> Volume:
    """Open a volume; its error messages name the case and phase."""
    return open_volume(path, f"case {case}: phase {phase!r}")


def ras_axes(volume: Volume) -> np.ndarray:
    """Return the voxel axis closest to each of the axes R, A, S."""
    return np.argsort(io_orientation(volume.affine)[:, 0])


def voxel_corners(volume: Volume, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Return the outer corners, [8, 3] in mm (RAS), of the voxels from `low` to `high` inclusive."""
    edges = np.stack([np.asarray(low) - 0.5, np.asarray(high) + 0.5])
    corners = np.stack(np.meshgrid(*edges.T, indexing="ij"), axis=-1).reshape(-1, 3)
    return corners @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def ras_bounds(volume: Volume, low: ArrayLike, high: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper corner, in mm (RAS), of the axis-aligned box around voxels `low` to `high`."""
    points = voxel_corners(volume, low, high)
    return points.min(axis=0), points.max(axis=0)


@dataclass(frozen=True)
class MaskBox:
    """The box around the voxels of a mask that are above 0."""

    # low, high: first and last voxel index along each axis
    low: np.ndarray
    high: np.ndarray
    inside: np.ndarray  # which voxels of the box are above 0, bool [X, Y, Z]
    affine: np.ndarray  # index in the box -> mm, [4, 4]


def find_mask_box(mask: Volume) -> MaskBox | None:
    """Return the box around a mask, holding little more than the box in memory; None if no voxel is above 0."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    for block in mask.blocks():
        inside = block > 0
        edges = [np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
        if edges[0].size:
            part = inside[tuple(slice(edge[0], edge[-1] + 1) for edge in edges)].copy()
            parts.append((np.array([edge[0] for edge in edges]) + [0, 0, start], part))
        start += block.shape[2]
    if not parts:
        return None
    low = np.min([corner for corner, _ in parts], axis=0)
    high = np.max([corner + part.shape for corner, part in parts], axis=0) - 1
    whole = np.zeros(high - low + 1, dtype=bool)
    for corner, part in parts:
        whole[tuple(map(slice, corner - low, corner - low + part.shape))] = part
    affine = mask.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    return MaskBox(low, high, whole, affine)


def mask_box(mask: Volume, case: str) -> MaskBox:
    """Return the box around the mask of a case, or raise `BadVolume` if no voxel is above 0."""
    box = find_mask_box(mask)
    if box is None:
        raise BadVolume(
            f"case {case}: the region mask must have a voxel above 0, found none in {mask.path}; "
            "correct the mask or remove the case"
        )
    return box


def mask_limits(mask: Volume, case: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last voxel index above 0 along each axis; raises like `mask_box`."""
    box = mask_box(mask, case)
    return box.low, box.high


def oriented_affine(affine: np.ndarray, shape: tuple[int, int, int], orientation: str = "RAS") -> np.ndarray:
    """Return the affine of a volume after reordering and flipping its axes to `orientation`.

    >>> oriented_affine(np.diag([-2.0, 1.0, 1.0, 1.0]), (5, 4, 3))[0].tolist()
    [2.0, 0.0, 0.0, -8.0]
    """
    change = ornt_transform(io_orientation(affine), axcodes2ornt(orientation))
    return affine @ inv_ornt_aff(change, shape)


def frame_axes(affine: np.ndarray, shape: tuple[int, int, int], orientation: str = "RAS") -> np.ndarray:
    """Return the orthonormal axes (columns) of a volume's frame.

    Shear is removed with a Cholesky factor, as in MONAI's `Spacing`: the first axis keeps its direction.

    Args:
        affine: voxel index -> mm, [4, 4].
        orientation: directions in which the three axes run, e.g. RAS or LPS.

    Returns:
        float64 [3, 3].
    """
    matrix = oriented_affine(affine, shape, orientation)[:3, :3]
    return matrix @ np.linalg.inv(np.linalg.cholesky(matrix.T @ matrix).T)


def frame_change(source: str, target: str) -> np.ndarray:
    """Return the signed permutation matrix that converts coordinates of one orientation to another.

    >>> frame_change("RAS", "LPS").diagonal().tolist()
    [-1.0, -1.0, 1.0]
    """
    matrix = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(axcodes2ornt(target).astype(float)):
        for column, (source_axis, source_sign) in enumerate(axcodes2ornt(source).astype(float)):
            if axis == source_axis:
                matrix[row, column] = sign * source_sign
    return matrix


def box_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of two boxes [2, 3] along the same axes; 0 where they share space or touch.

    >>> box_distance(np.array([[0, 0, 0], [1, 1, 1]]), np.array([[4, 0, 5], [6, 1, 9]]))
    5.0
    """
    return float(np.linalg.norm(np.maximum(0, np.maximum(first[0] - second[1], second[0] - first[1]))))


def bounds(corners: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the smallest box around points, aligned with the frame.

    Args:
        corners: positions in mm, [N, 3].
        axes: the frame, its axes as columns, [3, 3].

    Returns:
        lower and upper corner in mm, [2, 3].
    """
    coordinates = corners @ axes
    return np.stack([coordinates.min(axis=0), coordinates.max(axis=0)])


def box_corners(box: np.ndarray) -> np.ndarray:
    """Return the eight corners [8, 3] of a box [2, 3]."""
    return np.array(list(product(*np.asarray(box, dtype=np.float64).T)))


def field_of_view(affine: np.ndarray, shape: tuple[int, int, int], axes: np.ndarray) -> np.ndarray:
    """Return the box [2, 3] in mm, aligned with the frame, around the outer edges of a volume's voxels."""
    edges = box_corners(np.array([[-0.5] * 3, np.array(shape) - 0.5]))
    return bounds(edges @ affine[:3, :3].T + affine[:3, 3], axes)


EDGE = 1e-4  # voxels; smaller differences in position are rounding errors
Size = tuple[int, int, int]


def sample_volume(
    volume: Volume, grid: np.ndarray, size: Size, anti_alias: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a volume at the points of a grid, reading only the block that this needs.

    Trilinear; between the centre and the outer edge of a border voxel its value is kept, like MONAI's border
    padding. Beyond the outer edges `inside` is False and the value 0.

    Args:
        grid: grid index -> mm, [4, 4].
        anti_alias: along axes where the grid is coarser by a factor f, first smooth the voxels with a Gaussian
            of standard deviation (f - 1) / 2 voxels (as MONAI's Resize does).

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
    """Return for each volume axis the grid axis parallel to it; None if the axes are oblique to each other."""
    movement = np.abs(to_voxel[:, :3]) * np.maximum(np.array(size) - 1, 1)
    drivers = np.abs(to_voxel[:, :3]).argmax(axis=1)
    movement[np.arange(3), drivers] = 0
    parallel = sorted(drivers) == [0, 1, 2] and (movement.sum(axis=1) < EDGE).all()
    return [int(driver) for driver in drivers] if parallel else None


def _points(to_voxel: np.ndarray, size: Size, drivers: list[int] | None) -> list[np.ndarray]:
    """Return the voxel coordinate along each volume axis for every point of the grid.

    The arrays broadcast to [D, H, W]; with parallel axes each varies along a single axis.
    """
    steps = np.ogrid[: size[0], : size[1], : size[2]]
    if drivers is not None:
        return [row[driver] * steps[driver] + row[3] for row, driver in zip(to_voxel, drivers, strict=True)]
    return [(row[0] * steps[0] + row[1] * steps[1]) + (row[2] * steps[2] + row[3]) for row in to_voxel]


def _sample_axes(block: np.ndarray, points: list[np.ndarray], drivers: list[int]) -> np.ndarray:
    """Interpolate axis by axis, which is trilinear if the axes are parallel, and faster."""
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
    """Interpolate trilinearly at arbitrary points of a block."""
    scale = [2.0 / max(count - 1, 1) for count in block.shape]
    where = np.stack([point * part - 1 for point, part in zip(points, scale, strict=True)], axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(block.T))[None, None]  # [z, y, x]: grid_sample takes x first
    target = torch.from_numpy(where.astype(np.float32))[None]
    return grid_sample(source, target, mode="bilinear", padding_mode="border", align_corners=True)[0, 0].numpy()
