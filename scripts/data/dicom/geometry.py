"""Slices in the order of space, and the affine of the volume they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .slices import Slice

PLANES = ("sagittal", "coronal", "axial")
LEAST_SLICES = 3
"""Fewer images are no volume."""
SAME_PLACE = 0.01
"""mm along the normal within which two images are at one position."""


class Refused(ValueError):
    """Why images do not make a volume."""


def normal_of(image: Slice) -> np.ndarray:
    """Return the unit vector across the slice: row direction x column direction (LPS)."""
    row, column = np.reshape(image.orientation, (2, 3))
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)


def heights(slices: Sequence[Slice]) -> np.ndarray:
    """Return the position of each slice along the normal of the first one, in mm."""
    return np.array([image.position for image in slices]) @ normal_of(slices[0])


def plane_of(image: Slice) -> tuple[str, float]:
    """Return the plane (sagittal, coronal, axial) nearest to the slice, and its tilt against it in degrees."""
    along = np.abs(normal_of(image))
    return PLANES[int(along.argmax())], float(np.degrees(np.arccos(min(along.max(), 1.0))))


def ordered_volume(slices: Sequence[Slice]) -> tuple[list[Slice], np.ndarray]:
    r"""Sort slices along their normal; return them with the affine, voxel index -> mm (RAS), [4, 4].

    Columns of the affine: row direction x spacing of the columns, column direction x spacing of the rows, and
    the step from slice to slice, :math:`(p_{n-1} - p_0) / (n - 1)`; its origin is :math:`p_0`. Oblique slices
    need nothing else.

    Raises:
        Refused: too few slices, several at one position, a gap, or a gantry tilt.

    Reference:
        DICOM PS3.3, C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    if len(slices) < LEAST_SLICES:
        raise Refused(f"{len(slices)} image{'s' * (len(slices) > 1)}, a volume needs {LEAST_SLICES} or more")
    along = heights(slices)
    order = np.argsort(along, kind="stable")
    ordered, steps = [slices[index] for index in order], np.diff(along[order])
    repeated = int((steps <= SAME_PLACE).sum())
    if repeated:
        raise Refused(f"{len(slices)} images at {len(slices) - repeated} positions")
    usual = float(np.median(steps))
    worst = int(np.abs(steps - usual).argmax())
    if abs(steps[worst] - usual) > max(0.02 * usual, SAME_PLACE):
        what = "a slice is missing" if steps[worst] > 1.5 * usual else "uneven distances of the slices"
        raise Refused(
            f"{what}, {steps[worst]:.4g} mm after image {worst + 1} of {len(slices)}, usually {usual:.4g} mm"
        )
    first, last = np.array(ordered[0].position), np.array(ordered[-1].position)
    step = (last - first) / (len(slices) - 1)
    tilt = np.degrees(np.arccos(min(step @ normal_of(ordered[0]) / np.linalg.norm(step), 1.0)))
    if tilt > 0.5:
        raise Refused(f"gantry tilt of {tilt:.1f} degrees; resample the series to right angles first")
    row, column = np.reshape(ordered[0].orientation, (2, 3))
    affine = np.eye(4)
    affine[:3] = np.stack([row * ordered[0].spacing[0], column * ordered[0].spacing[1], step, first], axis=1)
    return ordered, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
