"""Where the pictures of a case are cut, and what is outlined in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from scripts.transforms.mask_pieces import largest_piece

Contains = Callable[[np.ndarray], np.ndarray]
"""From points [N, 3] in mm to whether each lies in the region, [N] bool."""


@dataclass(frozen=True)
class ShownRegion:
    """Where all phases of a case are cut, and its region, where it has one.

    Attributes:
        point: mm (R, A, S); all phases are cut through it.
        contains: the region; None where the case has none.
        centres: its points around `point`, which the coarsest picture marks too, mm, [N, 3].
        reach: radius within which the region surrounds each of them, mm.
    """

    point: np.ndarray
    contains: Contains | None = None
    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    reach: float = 0.0


def mask_region(inside: np.ndarray, affine: np.ndarray) -> ShownRegion:
    """Return a mask, to be cut where its largest piece has its largest axial area, in the middle of several.

    The grid is centred on that piece; another one may have a larger area in some slice.

    Args:
        inside: bool, True in at least one voxel.
        affine: index -> mm.

    Shape:
        inside: [X, Y, Z].
    """
    through = int(np.abs(affine[2, :3]).argmax())
    piece = largest_piece(inside, affine)
    area = piece.sum(axis=tuple(axis for axis in range(3) if axis != through))
    largest = np.flatnonzero(area == area.max())
    number = int(largest[(len(largest) - 1) // 2])
    voxels = np.argwhere(np.take(inside, [number], axis=through))
    voxels[:, through] = number
    centres = voxels @ affine[:3, :3].T + affine[:3, 3]
    # a point of the mask itself: the middle of a ring or of two pieces is none
    own = centres[piece[tuple(voxels.T)]]
    point = own[np.linalg.norm(own - own.mean(axis=0), axis=1).argmin()]

    def contains(points: np.ndarray) -> np.ndarray:
        index = np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).T).T.round().astype(int)
        there = ((index >= 0) & (index < inside.shape)).all(axis=1)
        found = np.zeros(len(points), dtype=bool)
        found[there] = inside[tuple(index[there].T)]
        return found

    reach = float(np.linalg.norm(affine[:3, :3], axis=0).min()) / 2
    return ShownRegion(point, contains, centres, reach)


def box_region(low: np.ndarray, high: np.ndarray) -> ShownRegion:
    """Return a box from corner to corner, in mm, to be cut in its middle."""

    def contains(points: np.ndarray) -> np.ndarray:
        return np.asarray(np.logical_and(points >= low, points <= high).all(axis=1))

    middle = (low + high) / 2
    return ShownRegion(middle, contains, middle[None])
