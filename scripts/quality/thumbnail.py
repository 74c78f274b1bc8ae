"""A slice of a volume as a small picture, with the outline of the region."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np

from .shown_region import Contains, ShownRegion

EDGE = 190
"""Longest edge of a picture in pixels."""
OUTLINE = (54, 224, 200)
"""Colour of the outline: red, green, blue."""


def slice_picture(
    ras: np.ndarray, affine: np.ndarray, low: float, high: float, region: ShownRegion | None
) -> tuple[np.ndarray, bool]:
    """Return the axial slice through a region, else the middle one; front at the top, left at the right.

    Args:
        ras: voxels with axes to the right, the front and the top, [R, A, S].
        affine: of these voxels, index -> mm.
        low, high: values that become black and white.
        region: where to cut, and what to outline; None: the middle.

    Returns:
        uint8 [rows, columns], or [rows, columns, 3] where an outline is drawn; pixels are squares, the longer
        edge has at most 190. And whether the slice passes through the point of the region. The outline is
        that of the region at the height of its point, not at the middle of the slice, which may be thick.
    """
    from scipy.ndimage import binary_dilation

    number, through, height = ras.shape[2] // 2, False, 0.0
    if region is not None:
        height = float(np.linalg.solve(affine, [*region.point, 1.0])[2])
        through = bool(-0.5 <= height <= ras.shape[2] - 0.5)
        number = int(np.clip(round(height), 0, ras.shape[2] - 1)) if through else number
    plane = ras[:, :, number]
    size = np.array(plane.shape) * np.linalg.norm(affine[:3, :2], axis=0)
    columns, rows = np.maximum(1, np.round(EDGE * size / size.max())).astype(int)
    at_column = ((2 * np.arange(columns) + 1) * plane.shape[0] // (2 * columns))[::-1]
    at_row = ((2 * np.arange(rows) + 1) * plane.shape[1] // (2 * rows))[::-1]
    grey = (plane[np.ix_(at_column, at_row)].T - low) / max(high - low, 1e-12)
    shades = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    if region is None or region.contains is None or not through:
        return shades, through
    inside = _section(plane.shape, (rows, columns), affine, height, region.contains)
    marks = _marks(plane.shape, (rows, columns), affine, region)
    inside |= marks & ~binary_dilation(inside, np.ones((3, 3)))  # where the section has no pixel
    if not inside.any():
        return shades, through
    picture = np.repeat(shades[:, :, None], 3, axis=2)
    picture[_edge(inside)] = OUTLINE
    return picture, through


def _section(
    shape: tuple[int, ...], size: tuple[int, int], affine: np.ndarray, height: float, contains: Contains
) -> np.ndarray:
    """Return the pixels whose centres lie in a region; those of the voxels would make a fine mask coarse.

    Args:
        shape: voxels of the slice.
        size: rows and columns of the picture.
        affine: of the voxels, index -> mm.
        height: index of the slice, not rounded.
        contains: the region.
    """
    rows, columns = size
    i = ((np.arange(columns) + 0.5) * shape[0] / columns - 0.5)[::-1]
    j = ((np.arange(rows) + 0.5) * shape[1] / rows - 0.5)[::-1]
    grid = np.stack([*np.meshgrid(i, j), np.full(size, height), np.ones(size)], axis=-1)
    return contains((grid.reshape(-1, 4) @ affine.T)[:, :3]).reshape(size)


def _marks(
    shape: tuple[int, ...], size: tuple[int, int], affine: np.ndarray, region: ShownRegion
) -> np.ndarray:
    """Return the pixels that hold centres of a region, which may lie between the centres of the pixels."""
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
    """Return the pixels just outside an area, so that it is seen itself; at the picture's border its own."""
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
