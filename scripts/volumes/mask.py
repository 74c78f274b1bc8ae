# SPDX-License-Identifier: Apache-2.0
"""Masks: recognised by their few whole numbers, and split into connected components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scripts.volumes.grid import bounds

MOST_VALUES = 16  # most distinct values of a mask, background included
SAMPLED = 1000  # voxels sampled evenly from a block before all others are compared


def mask_values(blocks: Iterable[np.ndarray]) -> list[int] | None:
    """Return the values of a mask; None if they are too many, a single one, negative or not whole numbers.

    >>> tuple(mask_values([np.array(mask)]) for mask in ([0.0, 1.0, 2.0, 0.0], [0.0, 0.5], [0.0, 0.0, 0.0]))
    ([0, 1, 2], None, None)
    """
    found = np.empty(0)
    for block in blocks:
        found = distinct(block, MOST_VALUES, found)
        if len(found) > MOST_VALUES or (found != np.round(found)).any() or found[0] < 0:
            return None
    return [int(value) for value in found] if len(found) > 1 else None


def distinct(voxels: np.ndarray, most: int, known: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values of `voxels` and `known`, possibly not all if there are more than `most`.

    >>> distinct(np.array([3.0, 1.0, 3.0]), 8, np.array([2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    rest = voxels.ravel(order="K")
    found = np.union1d(known, rest[:: max(1, rest.size // SAMPLED)])
    while len(found) <= most and (rest := rest[~np.isin(rest, found)]).size:
        found = np.union1d(found, rest[:SAMPLED])
    return found


LEAST_PIECE = 0.1  # smaller components, relative to the largest one's volume, never move the grid
EDGE = 1e-3  # mm; tolerance for a region that just fits into the grid


@dataclass(frozen=True)
class Pieces:
    """The connected components of a mask that count for its region, largest first."""

    boxes: np.ndarray  # lower and upper corner in the frame, mm, [N, 2, 3]
    others: np.ndarray  # voxel centres in the frame outside the largest component, mm, [K, 3]
    total: int  # number of voxels of the mask
    margin: float  # mm around the region

    def within(self, room: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the region with its margin, and the share of the mask that lies outside it.

        The region is the box of the largest component, extended by the next ones in order of size as long as
        the whole still fits into the grid.

        Args:
            room: size of the grid along the frame, mm, [3].

        Returns:
            corners in mm, [2, 3], and a number from 0 to 1.
        """
        region = self.boxes[0]
        for box in self.boxes[1:]:
            both = np.stack([np.minimum(region[0], box[0]), np.maximum(region[1], box[1])])
            if (both[1] - both[0] + 2 * self.margin <= room + EDGE).all():
                region = both
        region = region + [[-self.margin], [self.margin]]
        outside = ((self.others < region[0]) | (self.others > region[1])).any(axis=1)
        return region, float(outside.sum()) / self.total


def pieces_of(inside: np.ndarray, affine: np.ndarray, axes: np.ndarray, margin: float) -> Pieces:
    """Split a mask into components of voxels that touch by a face, an edge or a corner.

    Of equally large components the one farther to the left, then back, then bottom comes first, whatever the
    voxel order of the file.

    Args:
        inside: the voxels that count, bool [X, Y, Z], at least one.
        affine: index -> mm, [4, 4].
        axes: the frame, [3, 3].
        margin: mm around the region.
    """
    from scipy.ndimage import find_objects

    index = np.argwhere(inside)
    centres = (index @ affine[:3, :3].T + affine[:3, 3]) @ axes
    labels, order, sizes = _by_size(inside, index, centres)
    number = labels[tuple(index.T)]
    chosen = [piece for piece in order if sizes[piece] >= LEAST_PIECE * sizes[order[0]]]
    where = find_objects(labels)
    boxes = [
        voxel_box(labels[where[piece]] == piece + 1, affine, axes, [part.start for part in where[piece]])
        for piece in chosen
    ]
    return Pieces(np.stack(boxes), centres[number != order[0] + 1], int(sizes.sum()), margin)


def _by_size(inside: np.ndarray, index: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each voxel's component number from 1, the components from 0 in order of size, and their sizes.

    Args:
        inside: bool [X, Y, Z].
        index: indices of its voxels, [N, 3].
        centres: centres of these voxels in the frame, mm, [N, 3].
    """
    from scipy.ndimage import label

    labels, count = label(inside, structure=np.ones((3, 3, 3)))
    number = labels[tuple(index.T)]
    sizes = np.bincount(number, minlength=count + 1)[1:]
    sums = [np.bincount(number, centres[:, axis], count + 1)[1:] for axis in range(3)]
    middle = np.stack(sums, axis=1) / sizes[:, None]
    # rounding to 0.01 mm keeps ties between equal sizes independent of the order of summation
    return labels, np.lexsort((*np.round(middle, 2).T[::-1], -sizes)), sizes


def largest_piece(inside: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the component on which `MaskRegiond` centres the grid, bool [X, Y, Z].

    Args:
        inside: bool [X, Y, Z], at least one voxel.
        affine: index -> mm (R, A, S), [4, 4].
    """
    index = np.argwhere(inside)
    labels, order, _ = _by_size(inside, index, index @ affine[:3, :3].T + affine[:3, 3])
    return np.asarray(labels == order[0] + 1)


def shares_of_pieces(inside: np.ndarray) -> list[float]:
    """Return the volume shares of a mask's largest component and of the others large enough to count.

    >>> shares_of_pieces(np.array([1, 1, 1, 0, 1])[None, None] > 0)
    [0.75, 0.25]
    """
    from scipy.ndimage import label

    labels, _ = label(inside, structure=np.ones((3, 3, 3)))
    sizes = np.sort(np.bincount(labels[inside])[1:])[::-1]
    return [float(size / sizes.sum()) for size in sizes if size >= LEAST_PIECE * sizes[0]]


def voxel_box(inside: np.ndarray, affine: np.ndarray, axes: np.ndarray, start: list[int] | None = None) -> np.ndarray:
    """Return the smallest box [2, 3] in mm, aligned with the frame, around whole voxels (not just centres).

    Args:
        inside: bool [X, Y, Z], at least one voxel.
        affine: index -> mm, [4, 4].
        axes: the frame, [3, 3].
        start: index of the first voxel of `inside` in the volume, if it is a block of one.
    """
    lines = inside.any(axis=2)  # only the two end voxels of a line can touch the box, however it is oriented
    rows = inside[lines]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.c_[np.argwhere(lines), first], np.c_[np.argwhere(lines), last]])
    ends = ends + np.array(start or [0, 0, 0])
    half_voxel = np.abs(axes.T @ affine[:3, :3]).sum(axis=1) / 2
    return bounds(ends @ affine[:3, :3].T + affine[:3, 3], axes) + [-half_voxel, half_voxel]
