# SPDX-License-Identifier: Apache-2.0
"""Size and shape of one structure, in physical units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

MM3_PER_ML = 1000.0
MM2_PER_CM2 = 100.0


def shape_measures(inside: np.ndarray, spacing: ArrayLike) -> dict[str, float | None]:
    r"""Measure a structure by SimpleITK's LabelShapeStatisticsImageFilter, and its largest diameter.

    - volume V: number of voxels times their volume, ml.
    - surface A: by Crofton's formula, which counts crossings of lines in 13 directions, so that the steps of
      voxels do not add to it, cm2. On uneven voxels the directions do not weigh alike: on voxels of 1 x 1 x
      2.5 mm an elongated structure comes out up to 10% too small, on 1.5 x 1.5 x 10 mm up to 20%.
    - sphericity: :math:`\pi^{1/3} (6 V)^{2/3} / A`, 1 of a ball, less of everything else; on coarse voxels it
      may exceed 1 by some percent, on uneven ones by more.
    - elongation: :math:`\sqrt{\lambda_1 / \lambda_2}` and flatness :math:`\sqrt{\lambda_2 / \lambda_3}`, from
      the moments of inertia :math:`\lambda_1 \ge \lambda_2 \ge \lambda_3`: of an ellipsoid the ratio of its
      longest to its middle axis, and of its middle to its shortest one; 1 of a ball.
    - diameter: the largest distance between two points of the surface (Feret), mm, see `largest_diameter`.

    All pieces of a structure count together. Where a structure reaches the border of the image, the border
    counts as surface. The steps along the axes must stand at right angles.

    Args:
        inside: bool [X, Y, Z].
        spacing: mm along the three axes.

    Returns:
        volume, surface, sphericity, elongation, flatness and diameter; of an empty structure the volume is 0
        and all others are None.

    Reference: Lehmann and Legland, Efficient N-dimensional surface estimation using Crofton formula and
        run-length encoding, Insight Journal 2012; Wadell, Volume, shape, and roundness of quartz particles, J
        Geol 43, 1935 (sphericity).
    """
    import SimpleITK

    found: dict[str, float | None] = {"volume": 0.0}
    found |= dict.fromkeys(["surface", "sphericity", "elongation", "flatness", "diameter"])
    if not inside.any():
        return found
    steps = [float(step) for step in np.asarray(spacing, dtype=np.float64)]
    padded = np.pad(cropped(inside), 1)
    image = SimpleITK.GetImageFromArray(padded.T.astype(np.uint8))
    image.SetSpacing(steps)
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOff()  # its time grows with the square of the surface
    shape.Execute(image)
    surface = shape.GetPerimeter(1)
    return {
        "volume": float(shape.GetPhysicalSize(1)) / MM3_PER_ML,
        "surface": surface / MM2_PER_CM2,
        "sphericity": float(shape.GetRoundness(1)) if surface > 0 else None,
        "elongation": _ratio(shape.GetElongation(1)),
        "flatness": _ratio(shape.GetFlatness(1)),
        "diameter": largest_diameter(padded, steps),
    }


def _ratio(value: float) -> float | None:
    """Return a ratio of axes, None of a structure without extent along one."""
    return float(value) if np.isfinite(value) and value > 0 else None


def cropped(inside: np.ndarray) -> np.ndarray:
    """Return the smallest block with all voxels of a mask that is not empty."""
    box = []
    for axis in range(inside.ndim):
        found = np.flatnonzero(inside.any(axis=tuple(other for other in range(inside.ndim) if other != axis)))
        box.append(slice(found[0], found[-1] + 1))
    return inside[tuple(box)]


def largest_diameter(inside: np.ndarray, spacing: ArrayLike) -> float:
    """Return the largest distance between two points of the surface in mm.

    The points are the centres of the outer faces of voxels, where the surface lies between them; the largest
    distance is one between corners of the convex hull. A single voxel has its longest edge.

    Args:
        inside: bool [X, Y, Z], not empty.
        spacing: mm along the three axes.
    """
    from scipy.ndimage import binary_erosion
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    steps = np.asarray(spacing, dtype=np.float64)
    outer = np.argwhere(inside & ~binary_erosion(inside))
    faces = np.concatenate([[-0.5 * row, 0.5 * row] for row in np.eye(3)])
    points = ((outer[:, None] + faces) * steps).reshape(-1, 3)
    return float(pdist(points[ConvexHull(points).vertices]).max())
