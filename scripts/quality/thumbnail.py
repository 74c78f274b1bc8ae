"""The centre slice of a volume as a small picture."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np

EDGE = 88
"""Longest edge of a thumbnail in pixels."""


def centre_slice(ras: np.ndarray, spacing: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the axial slice in the middle, front at the top and the patient's left at the right.

    Args:
        ras: voxels with axes to the right, the front and the top, [R, A, S].
        spacing: mm along R, A, S.
        low, high: values that become black and white.

    Returns:
        uint8 [rows, columns]; pixels are squares, the longer edge has at most 88.
    """
    plane = ras[:, :, ras.shape[2] // 2]
    size = np.array(plane.shape) * spacing[:2]
    columns, rows = np.maximum(1, np.round(EDGE * size / size.max())).astype(int)
    at_column = (np.arange(columns) * plane.shape[0] // columns)[::-1]
    at_row = (np.arange(rows) * plane.shape[1] // rows)[::-1]
    grey = (plane[np.ix_(at_column, at_row)].T - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def picture(thumbnail: np.ndarray) -> str:
    """Return a picture as the data: URI of a PNG."""
    from matplotlib.image import imsave

    file = BytesIO()
    imsave(file, thumbnail, cmap="gray", vmin=0, vmax=255, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
