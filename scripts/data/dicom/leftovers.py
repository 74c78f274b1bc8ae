"""What a volume leaves over of its series: positions it lacks, images turned against it or at one place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .geometry import NEAR, angle_between, centres, heights, places
from .slices import Slice

OTHER_PLANE = 15.0
"""Degrees from which on images of another direction are another view, e.g. a localizer, not a stray slice."""
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
    """Say whether images of another direction may belong to a volume: a little turned, between its slices.

    Args:
        volume: the slices in the order of space.
        others: images of one other direction.
        volumes: whether those are volumes themselves; if not, they are left over wherever they lie.
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
    return ", ".join(names[:MOST_NAMED]) + (
        f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    )


def _near(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each of the other heights whether a slice of the volume lies there."""
    step = abs(own[-1] - own[0]) / (len(own) - 1)
    return np.abs(others[:, None] - own[None]).min(1) <= NEAR * step
