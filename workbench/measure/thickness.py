# SPDX-License-Identifier: Apache-2.0
"""How thick a wall is: at each of its points the diameter of the largest ball inside that holds the point."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from workbench.measure.shape import cropped

SMOOTHING = 0.5  # voxels; standard deviation of the Gaussian that takes the steps of voxels from the surface
LEAST = 0.01  # By how much a voxel inside stays above the level of the surface, and one outside below
SLIP = 0.1  # of half the smallest spacing; a ball that reaches out of another one by less lies within it


def wall_thickness(inside: np.ndarray, spacing: ArrayLike) -> dict[str, float | None]:
    """Return mean and largest thickness of a wall in mm; None of an empty one."""
    if not inside.any():
        return {"thickness": None, "thickness_max": None}
    found = local_thickness(inside, spacing)
    return {"thickness": float(found.mean()), "thickness_max": float(found.max())}


def local_thickness(inside: np.ndarray, spacing: ArrayLike) -> np.ndarray:
    r"""Return the local thickness of a structure at each of its voxels, mm.

    .. math:: t(x) = 2 \max \{ r(c) : |x - c| < r(c) \}

    over all points c inside, where r(c) is the distance of c to the surface. Nothing is assumed of how the
    wall runs, and no centre line is drawn. The surface lies between the voxels: where a mask, smoothed by half
    a voxel, is 1/2, but always between a voxel inside and one outside. Centres are the points of half the
    spacing; balls that lie in one of a neighbouring centre are left out.

    The mean of shells of 4 to 10 mm on voxels of 1 mm is right to 3%, on voxels of 1.5 x 1.5 x 5 mm to 5%; a
    plate of two and more voxels is exact, one of a single voxel is measured 16% too thin; what is compact all
    around, as a ball, up to 1.5 voxels too thin. A ball is bounded in all directions: the thickness of a wall
    in a stack of thick slices is at most that of the stack, and where the stack ends, the end counts as
    surface.

    Args:
        inside: bool [X, Y, Z], not empty.
        spacing: mm along the three axes.

    Returns:
        [N], of the voxels in the order of `numpy.argwhere`.

    Reference: Hildebrand and Rüegsegger, A new method for the model-independent assessment of thickness in
        three-dimensional images, J Microscopy 185, 1997.
    """
    steps = np.asarray(spacing, dtype=np.float64)
    block = np.pad(cropped(inside), 2)
    radius = surface_distance(block, steps)
    centres = np.argwhere(_largest_balls(radius, steps / 2))
    radii = radius[tuple(centres.T)]
    thickness = np.zeros(block.shape)
    for index in np.argsort(-radii, kind="stable"):
        centre, r = centres[index] / 2, radii[index]  # in voxels
        low = np.maximum(np.ceil(centre - r / steps), 0).astype(int)
        high = np.minimum(np.floor(centre + r / steps) + 1, block.shape).astype(int)
        part = thickness[tuple(map(slice, low, high))]
        away = np.ogrid[tuple(map(slice, low - centre, high - centre))]
        square = sum((step * offset) ** 2 for step, offset in zip(steps, away, strict=True))
        part[(square < r * r) & (part == 0)] = 2 * r
    own = 2 * radius[::2, ::2, ::2]
    return np.maximum(thickness, own)[block]


def surface_distance(block: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the distance to the surface at the points of half the spacing, mm; 0 outside.

    Args:
        block: bool [X, Y, Z], with nothing inside at its borders.
        steps: mm along the three axes.

    Shape:
        [2 X - 1, 2 Y - 1, 2 Z - 1]; even points are the centres of voxels.
    """
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import KDTree

    smooth = gaussian_filter(block.astype(np.float64), SMOOTHING)
    level = np.where(block, np.maximum(smooth, 0.5 + LEAST), np.minimum(smooth, 0.5 - LEAST))
    for axis in range(level.ndim):
        lines = np.moveaxis(level, axis, 0)
        points = np.empty((2 * len(lines) - 1, *lines.shape[1:]))
        points[::2], points[1::2] = lines, (lines[1:] + lines[:-1]) / 2
        level = np.moveaxis(points, 0, axis)
    surface = []
    for axis in range(level.ndim):
        lines = np.moveaxis(level, axis, 0)
        crossed = np.nonzero((lines[1:] > 0.5) != (lines[:-1] > 0.5))
        here, there = lines[:-1][crossed], lines[1:][crossed]
        points = np.stack([crossed[0] + (here - 0.5) / (here - there), *crossed[1:]], axis=1)
        surface.append(np.insert(points[:, 1:], axis, points[:, 0], axis=1))
    inner = np.nonzero(level > 0.5)
    distance = np.zeros(level.shape)
    known = KDTree(np.concatenate(surface) * steps / 2)
    distance[inner] = known.query(np.stack(inner, axis=1) * steps / 2)[0]
    return distance


def _largest_balls(radius: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the points whose ball lies in none of those of the 26 neighbours, bool.

    A ball lies in another one where r + distance of the centres <= the other one's r.
    """
    padded = np.pad(radius, 1)
    free = radius > 0
    for offset in product((-1, 0, 1), repeat=3):
        if any(offset):
            away = float(np.linalg.norm(np.array(offset) * steps))
            part = tuple(slice(1 + move, 1 + move + size) for move, size in zip(offset, radius.shape, strict=True))
            free &= padded[part] < radius + away - SLIP * steps.min()
    return free
