"""Where the pictures of a case are cut, and what is outlined in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Contains = Callable[[np.ndarray], np.ndarray]
"""From points [N, 3] in mm to whether each lies in the region, [N] bool."""


@dataclass(frozen=True)
class ShownRegion:
    """A point in mm (R, A, S) through which all phases are cut, and the region, where a case has one."""

    point: np.ndarray
    contains: Contains | None = None


def mask_region(inside: np.ndarray, affine: np.ndarray) -> ShownRegion:
    """Return the centre of the axial slice in which a mask is largest.

    Args:
        inside: bool, True in at least one voxel.
        affine: index -> mm.

    Shape:
        inside: [X, Y, Z].
    """
    through = int(np.abs(affine[2, :3]).argmax())
    area = inside.sum(axis=tuple(axis for axis in range(3) if axis != through))
    voxels = np.argwhere(np.take(inside, [int(area.argmax())], axis=through)).mean(axis=0)
    voxels[through] = int(area.argmax())

    def contains(points: np.ndarray) -> np.ndarray:
        index = np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).T).T.round().astype(int)
        there = ((index >= 0) & (index < inside.shape)).all(axis=1)
        found = np.zeros(len(points), dtype=bool)
        found[there] = inside[tuple(index[there].T)]
        return found

    return ShownRegion(affine[:3, :3] @ voxels + affine[:3, 3], contains)


def box_region(low: np.ndarray, high: np.ndarray) -> ShownRegion:
    """Return the centre of a box from corner to corner, in mm."""

    def contains(points: np.ndarray) -> np.ndarray:
        return np.asarray(np.logical_and(points >= low, points <= high).all(axis=1))

    return ShownRegion((low + high) / 2, contains)
