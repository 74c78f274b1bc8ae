# SPDX-License-Identifier: Apache-2.0
"""Where the pictures of a case are cut, and what is outlined in them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from scripts.volumes.mask import largest_piece

Contains = Callable[[np.ndarray], np.ndarray]
"""From points [N, 3] in mm to whether each lies in the region, [N] bool."""


@dataclass(frozen=True)
class ShownRegion:
    """Where all phases of a case are cut, and its region, if it has one."""

    point: np.ndarray  # mm (R, A, S); all phases are cut through it
    contains: Contains | None = None  # the region; None where the case has none
    # its points around `point` in mm, [N, 3]; even the coarsest picture marks them
    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    reach: float = 0.0  # radius within which the region surrounds each of them, mm


def mask_region(inside: np.ndarray, affine: np.ndarray) -> ShownRegion:
    """Return a mask, cut where its largest piece has its largest axial area (of several such slices, the middle).

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
    # a point of the mask itself, since the middle of a ring or of two pieces may lie outside
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
    """Return a box between two corners in mm, cut in its middle."""

    def contains(points: np.ndarray) -> np.ndarray:
        return np.asarray(np.logical_and(points >= low, points <= high).all(axis=1))

    middle = (low + high) / 2
    return ShownRegion(middle, contains, middle[None])


EDGE = 190  # longest edge of a picture in pixels
OUTLINE = (54, 224, 200)  # colour of the outline: red, green, blue


@dataclass(frozen=True)
class Cut:
    """Where a volume is cut for its picture."""

    number: int  # of the axial slice, from below
    height: float  # the same, not rounded
    through: bool  # whether it passes through the point of the region; else it is the middle slice


def cut_at(depth: int, affine: np.ndarray, region: ShownRegion | None) -> Cut:
    """Return the axial slice through a region, else the middle one.

    Args:
        depth: number of axial slices.
        affine: index along right, front and top -> mm.
    """
    if region is not None:
        height = float(np.linalg.solve(affine, [*region.point, 1.0])[2])
        if -0.5 <= height <= depth - 0.5:
            return Cut(int(np.clip(round(height), 0, depth - 1)), height, True)
    return Cut(depth // 2, 0.0, False)


def slice_picture(
    plane: np.ndarray, affine: np.ndarray, cut: Cut, low: float, high: float, region: ShownRegion | None
) -> np.ndarray:
    """Return an axial slice as a picture; front at the top, left at the right.

    Args:
        plane: its voxels with axes to the right and the front, [R, A].
        affine: of the volume, index along right, front and top -> mm.
        low, high: values that become black and white.

    Returns:
        uint8 [rows, columns], or [rows, columns, 3] where an outline is drawn; pixels are square, the
        longer edge has at most 190. The outline is that of the region at the height of its point, not at the
        middle of the slice, which may be thick.
    """
    from scipy.ndimage import binary_dilation

    size = np.array(plane.shape) * np.linalg.norm(affine[:3, :2], axis=0)
    columns, rows = np.maximum(1, np.round(EDGE * size / size.max())).astype(int)
    at_column = ((2 * np.arange(columns) + 1) * plane.shape[0] // (2 * columns))[::-1]
    at_row = ((2 * np.arange(rows) + 1) * plane.shape[1] // (2 * rows))[::-1]
    grey = (plane[np.ix_(at_column, at_row)].T - low) / max(high - low, 1e-12)
    shades = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    if region is None or region.contains is None or not cut.through:
        return shades
    inside = _section(plane.shape, (rows, columns), affine, cut.height, region.contains)
    marks = _marks(plane.shape, (rows, columns), affine, region)
    inside |= marks & ~binary_dilation(inside, np.ones((3, 3)))  # where the section has no pixel
    if not inside.any():
        return shades
    picture = np.repeat(shades[:, :, None], 3, axis=2)
    picture[_edge(inside)] = OUTLINE
    return picture


def _section(
    shape: tuple[int, ...], size: tuple[int, int], affine: np.ndarray, height: float, contains: Contains
) -> np.ndarray:
    """Return the pixels whose centres lie in a region; testing voxel centres would coarsen a fine mask.

    Args:
        shape: voxels of the slice.
        affine: of the voxels, index -> mm.
        height: index of the slice, not rounded.
    """
    rows, columns = size
    i = ((np.arange(columns) + 0.5) * shape[0] / columns - 0.5)[::-1]
    j = ((np.arange(rows) + 0.5) * shape[1] / rows - 0.5)[::-1]
    grid = np.stack([*np.meshgrid(i, j), np.full(size, height), np.ones(size)], axis=-1)
    return contains((grid.reshape(-1, 4) @ affine.T)[:, :3]).reshape(size)


def _marks(shape: tuple[int, ...], size: tuple[int, int], affine: np.ndarray, region: ShownRegion) -> np.ndarray:
    """Return the pixels that contain points of a region, even if it lies between the centres of pixels."""
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    distance = (region.centres - region.point) @ (normal / np.linalg.norm(normal))
    cut = region.centres[np.abs(distance) <= region.reach + 1e-6]
    index = np.linalg.solve(affine[:3, :3], (cut - affine[:3, 3]).T)[:2].T + 0.5
    place = np.floor(index * size[::-1] / shape[:2]).astype(int)
    column, row = place[((place >= 0) & (place < size[::-1])).all(axis=1)].T
    marks = np.zeros(size, dtype=bool)
    marks[size[0] - 1 - row, size[1] - 1 - column] = True
    return marks


def _edge(inside: np.ndarray) -> np.ndarray:
    """Return the pixels just outside an area, which stays visible; at the border of the picture the area's own."""
    from scipy.ndimage import binary_dilation

    edge = np.asarray(binary_dilation(inside, np.ones((3, 3))) & ~inside)
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        edge[border] |= inside[border]
    return edge


def picture(thumbnail: np.ndarray) -> str:
    """Return a picture as the data: URI of a PNG."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(thumbnail).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
