"""The frame of a case: the axes of its reference phase, in mm.

A position x (mm, R/A/S of the scanner) has the coordinates u = axesᵀ x in the frame. The axes are those of
the reference phase, so an oblique scan is not turned, only re-ordered and flipped until its first axis runs
to the right, the second to the front and the third upwards, as far as they can.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform


def oriented_affine(affine: np.ndarray, shape: tuple[int, int, int], orientation: str = "RAS") -> np.ndarray:
    """Return the affine that a volume has once its axes are re-ordered and flipped to `orientation`.

    >>> oriented_affine(np.diag([-2.0, 1.0, 1.0, 1.0]), (5, 4, 3))[0].tolist()
    [2.0, 0.0, 0.0, -8.0]
    """
    change = ornt_transform(io_orientation(affine), axcodes2ornt(orientation))
    return affine @ inv_ornt_aff(change, shape)


def frame_axes(affine: np.ndarray, shape: tuple[int, int, int], orientation: str = "RAS") -> np.ndarray:
    """Return the orthonormal axes (columns) of the frame of a volume.

    Shear, if any, is removed as MONAI's `Spacing` does it (by a Cholesky factor): the first axis stays.

    Args:
        affine: voxel index -> mm, [4, 4].
        shape: voxels per axis.
        orientation: where the three axes run to, e.g. RAS or LPS.

    Returns:
        float64 [3, 3].
    """
    matrix = oriented_affine(affine, shape, orientation)[:3, :3]
    return matrix @ np.linalg.inv(np.linalg.cholesky(matrix.T @ matrix).T)


def frame_change(source: str, target: str) -> np.ndarray:
    """Return the signed permutation that turns coordinates of one orientation into those of another.

    >>> frame_change("RAS", "LPS").diagonal().tolist()
    [-1.0, -1.0, 1.0]
    """
    matrix = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(axcodes2ornt(target).astype(float)):
        for column, (source_axis, source_sign) in enumerate(axcodes2ornt(source).astype(float)):
            if axis == source_axis:
                matrix[row, column] = sign * source_sign
    return matrix


def bounds(corners: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the smallest box of the frame around points.

    Args:
        corners: positions in mm, [N, 3].
        axes: the frame, [3, 3].

    Returns:
        lower and upper corner in mm, [2, 3].
    """
    coordinates = corners @ axes
    return np.stack([coordinates.min(axis=0), coordinates.max(axis=0)])


def box_corners(box: np.ndarray) -> np.ndarray:
    """Return the eight corners [8, 3] of a box [2, 3]."""
    return np.array(list(product(*np.asarray(box, dtype=np.float64).T)))


def field_of_view(affine: np.ndarray, shape: tuple[int, int, int], axes: np.ndarray) -> np.ndarray:
    """Return the box of the frame around a volume, from the outer edges of its voxels, in mm, [2, 3]."""
    edges = box_corners(np.array([[-0.5] * 3, np.array(shape) - 0.5]))
    return bounds(edges @ affine[:3, :3].T + affine[:3, 3], axes)
