# SPDX-License-Identifier: Apache-2.0
"""Slices in the order of space: the affine of the volume they make, and what it leaves out of its series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from workbench.prepare.dicom.slices import Slice

PLANES = ("sagittal", "coronal", "axial")
LEAST_SLICES = 3  # fewer images are no volume
SAME_PLACE = 0.1
"""mm along the normal within which two images are at one position, at most a tenth of the widest step."""
UNEVEN = 0.1  # mm, and share of a step, by which a slice may lie off an even grid: scanners round positions
NEAR = 0.25  # share of a step within which an image is at the place of a slice of another volume
DRIFT = 1.0  # degrees between the first and any other slice of a volume


class Refused(ValueError):
    """The images do not make a volume; the message says why."""


def normal_of(image: Slice) -> np.ndarray:
    """Return the unit vector across the slice: row direction x column direction (LPS)."""
    row, column = np.reshape(image.orientation, (2, 3))
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)


def heights(slices: Sequence[Slice], along: Slice | None = None) -> np.ndarray:
    """Return the position of each slice along the normal of `along` or the first one, in mm."""
    return np.array([image.position for image in slices]) @ normal_of(along or slices[0])


def centres(slices: Sequence[Slice], along: Slice) -> np.ndarray:
    """Return the position of the centre of each image along the normal of `along`, in mm."""
    places = []
    for image in slices:
        row, column = np.reshape(image.orientation, (2, 3))
        across, down = (np.array(image.shape) - 1) / 2 * image.spacing
        places.append(np.array(image.position) + across * row + down * column)
    return np.array(places) @ normal_of(along)


def angle_between(one: Slice, other: Slice) -> float:
    """Return the angle between two images in degrees, the larger of those of their rows and their columns."""
    first, second = np.reshape(one.orientation, (2, 3)), np.reshape(other.orientation, (2, 3))
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())


def places(along: np.ndarray) -> np.ndarray:
    """Return the number of the position of each height, from 0 in the order of space; close heights share one."""
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    same = min(SAME_PLACE, 0.1 * steps.max()) if len(steps) else 0.0
    numbers = np.empty(len(along), int)
    numbers[order] = np.concatenate([[0], np.cumsum(steps > same)])
    return numbers


def plane_of(image: Slice) -> tuple[str, float]:
    """Return the plane (sagittal, coronal, axial) nearest to the slice, and its tilt in degrees."""
    along = np.abs(normal_of(image))
    return PLANES[int(along.argmax())], float(np.degrees(np.arccos(min(along.max(), 1.0))))


def ordered_volume(slices: Sequence[Slice]) -> tuple[list[Slice], np.ndarray]:
    r"""Sort slices along their normal; return them with the affine, voxel index -> mm (RAS), [4, 4].

    Columns of the affine: row direction x spacing of the columns, column direction x spacing of the rows, and
    the step from slice to slice, :math:`(p_{n-1} - p_0) / (n - 1)`; its origin is :math:`p_0`. Directions and
    spacings are the median of all slices. Oblique slices need no special case.

    Raises:
        Refused: too few slices, several at one position, a gap, or a gantry tilt.

    Reference:
        DICOM PS3.3, C.7.6.2.1.1, equation C.7.6.2.1-1.
    """
    if len(slices) < LEAST_SLICES:
        raise Refused(f"{len(slices)} image{'s' * (len(slices) > 1)}, a volume needs {LEAST_SLICES} or more")
    along = heights(slices)
    numbers = places(along)
    order = np.lexsort((np.arange(len(slices)), along))
    ordered, steps = [slices[index] for index in order], np.diff(along[order])
    repeated = len(slices) - len(np.unique(numbers))
    if repeated:
        raise Refused(f"{len(slices)} images at {len(slices) - repeated} positions")
    turned = max(angle_between(slices[0], image) for image in slices)
    if turned > DRIFT:
        raise Refused(f"slices turned against each other by {turned:.1f} degrees")
    usual = float(np.median(steps))
    worst = int(np.abs(steps - usual).argmax())
    if _off_grid(along[order]) > min(UNEVEN, UNEVEN * float(np.mean(steps))):
        what = "a slice is missing" if steps[worst] > 1.5 * usual else "uneven distances of the slices"
        raise Refused(f"{what}, {steps[worst]:.4g} mm after image {worst + 1} of {len(slices)}, usually {usual:.4g} mm")
    first, last = np.array(ordered[0].position), np.array(ordered[-1].position)
    step = (last - first) / (len(slices) - 1)
    row, column = np.reshape(np.median([image.orientation for image in slices], axis=0), (2, 3))
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    tilt = np.degrees(np.arccos(min(step @ normal / np.linalg.norm(normal) / np.linalg.norm(step), 1.0)))
    across, down = np.median([image.spacing for image in slices], axis=0)
    shift = np.linalg.norm((last - first) - (last - first) @ normal * normal / (normal @ normal))
    if tilt > 0.5 and shift > UNEVEN * min(across, down):  # in a thin stack the scanner's rounding looks like a tilt
        raise Refused(f"gantry tilt of {tilt:.1f} degrees; resample the series to right angles first")
    affine = np.eye(4)
    affine[:3] = np.stack([row * across, column * down, step, first], axis=1)
    return ordered, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # LPS -> RAS


def _off_grid(along: np.ndarray) -> float:
    """Return how far sorted heights lie off the best-fitting even grid at most, in mm."""
    number = np.arange(len(along))
    off = along - np.polyval(np.polyfit(number, along, 1), number)
    return float(np.ptp(off) / 2)


OTHER_PLANE = 15.0
"""Images turned by this many degrees or more are another view, e.g. a localizer, not stray slices."""
MOST_NAMED = 3


def lacking(volume: Sequence[Slice], field: Sequence[Slice]) -> str:
    """Say which positions of parallel images of its series (`field`) a volume lacks, "" where none."""
    own = set(map(id, volume))
    others = [image for image in field if id(image) not in own]
    if not others:
        return ""
    along = heights([*volume, *others])
    near = _near(along[: len(volume)], along[len(volume) :])
    left = [image for image, there in zip(others, near, strict=True) if not there]
    if not left:
        return ""
    whole = len(volume) + len(np.unique(places(heights(left))))
    return f"only {len(volume)} of the {whole} positions of its series ({files(left)} elsewhere)"


def turned(volume: Sequence[Slice], others: Sequence[Slice], volumes: bool) -> str:
    """Say whether images of another direction may belong to a volume: turned slightly, between its slices.

    Args:
        volume: the slices in the order of space.
        others: images of one other direction.
        volumes: whether those are volumes themselves; if not, they count wherever they lie.
    """
    angle = angle_between(volume[0], others[0])
    if angle >= OTHER_PLANE:
        return ""
    along = centres([*volume, *others], volume[0])
    own, beside = along[: len(volume)], along[len(volume) :]
    between = (beside > own.min()) & (beside < own.max()) & ~_near(own, beside)
    if volumes and not between.any():
        return ""
    number = f"{len(others)} images of its series are" if len(others) > 1 else "one image of its series is"
    return f"{number} turned by {angle:.1f} degrees ({files(others)})"


def doubled(slices: Sequence[Slice]) -> str:
    """Name the images at the first position that has several, unless all positions have."""
    numbers = places(heights(slices))
    several = np.bincount(numbers) > 1
    if several.all():
        return ""
    images = [image for image, number in zip(slices, numbers, strict=True) if number == several.argmax()]
    return f": {files(images)}"


def files(images: Sequence[Slice]) -> str:
    """Return the names of the first files."""
    names = list(dict.fromkeys(image.name for image in images))
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def _near(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of the other heights whether a slice of the volume lies there."""
    step = abs(own[-1] - own[0]) / (len(own) - 1)
    return np.abs(others[:, None] - own[None]).min(1) <= NEAR * step
