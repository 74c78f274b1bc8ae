"""A slice of a volume as a small picture, with the outline of the region."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np

from .shown_region import ShownRegion

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
        uint8 [rows, columns], or [rows, columns, 3] with an outline; pixels are squares, the longer edge has
        at most 190. And whether the slice passes through the point of the region.
    """
    number, through = ras.shape[2] // 2, False
    if region is not None:
        index = np.linalg.solve(affine, [*region.point, 1.0])[2]
        through = bool(-0.5 <= index <= ras.shape[2] - 0.5)
        number = int(np.clip(round(index), 0, ras.shape[2] - 1)) if through else number
    plane = ras[:, :, number]
    size = np.array(plane.shape) * np.linalg.norm(affine[:3, :2], axis=0)
    columns, rows = np.maximum(1, np.round(EDGE * size / size.max())).astype(int)
    at_column = (np.arange(columns) * plane.shape[0] // columns)[::-1]
    at_row = (np.arange(rows) * plane.shape[1] // rows)[::-1]
    grey = (plane[np.ix_(at_column, at_row)].T - low) / max(high - low, 1e-12)
    shades = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    if region is None or region.contains is None or not through:
        return shades, through
    # centres of the pixels, not of the voxels, so that the outline of a fine mask is fine
    i = ((np.arange(columns) + 0.5) * plane.shape[0] / columns - 0.5)[::-1]
    j = ((np.arange(rows) + 0.5) * plane.shape[1] / rows - 0.5)[::-1]
    grid = np.stack([*np.meshgrid(i, j), np.full((rows, columns), number), np.ones((rows, columns))], axis=-1)
    inside = region.contains((grid.reshape(-1, 4) @ affine.T)[:, :3]).reshape(rows, columns)
    picture = np.repeat(shades[:, :, None], 3, axis=2)
    picture[_edge(inside)] = OUTLINE
    return picture, through


def _edge(inside: np.ndarray) -> np.ndarray:
    """Return the pixels just outside an area, so that the area itself is seen."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(inside, np.ones((3, 3))) & ~inside


def picture(thumbnail: np.ndarray) -> str:
    """Return a picture as the data: URI of a PNG."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(thumbnail).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
