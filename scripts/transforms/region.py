# SPDX-License-Identifier: Apache-2.0
"""Region rules: they store the box on which the grid is centred in ``item["region"]``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from scripts.transforms.phases import PhaseTransform, case_name, need
from scripts.volumes.grid import bounds, box_corners, box_distance, field_of_view, frame_axes
from scripts.volumes.volume import Volume

POINT_SIDE = 20.0  # mm; side of the cube that a point stands for, without margin


class Region(PhaseTransform):
    """Base of the region rules: stores a box [2, 3] in mm, in the RAS frame of the reference, as
    ``item["region"]``.

    Args:
        keys: key of the phases.
        margin: mm added on every side.

    Raises:
        ValueError: a negative margin.
    """

    def __init__(self, keys: str = "image", margin: float = 0.0) -> None:
        super().__init__(keys)
        if not margin >= 0:
            raise ValueError(f"{type(self).__name__}: `margin` must be 0 mm or more, found {margin}")
        self.margin = float(margin)

    @abstractmethod
    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        """Return the lower and upper corner of the region in the frame, mm, [2, 3], without the margin."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        reference = need(item, "volumes", "LoadImagePhasesd", self)[item["reference"]]
        axes = frame_axes(reference.affine, reference.shape)
        item["region"] = self.box(item, reference, axes) + np.array([[-self.margin], [self.margin]])
        return item


def given_box(item: Mapping[Any, Any], axes: np.ndarray) -> np.ndarray | None:
    """Return the region that a case gives as numbers, or None.

    Either ``item["box"]``, two opposite corners, or ``item["point"]``, the centre of a cube; both in mm along
    the scanner's R, A and S, as lists or as text (``"12, -40.5, 88"``).

    Args:
        item: the case.
        axes: the frame, [3, 3].

    Raises:
        ValueError: not two corners that differ along every axis, or not a point.
    """
    if asked(item, "box"):
        found = numbers(item["box"])
        corners = found.reshape(2, 3) if len(found) == 6 else np.zeros((2, 3))
        if not np.isfinite(corners).all() or (corners[0] == corners[1]).any():
            raise ValueError(
                f"{case_name(item)}: 'box' must be two corners [[x, y, z], [x, y, z]] in mm that differ on "
                f"every axis, found {item['box']}; correct it"
            )
        return bounds(box_corners(corners), axes)
    if asked(item, "point"):
        centre, side = given_point(item)
        return bounds(centre[None], axes) + [[-side / 2], [side / 2]]
    return None


def check_given_box(item: Mapping[Any, Any], reference: Volume) -> None:
    """Refuse a box or point that a case gives, if it is none or lies wholly outside of its reference phase.

    Raises:
        ValueError: as for `given_box`, or it misses the scan.
    """
    axes = frame_axes(reference.affine, reference.shape)
    box = given_box(item, axes)
    if box is None:
        return
    gap = box_distance(field_of_view(reference.affine, reference.shape, axes), box)
    if gap > 0:
        given = "box" if asked(item, "box") else "point"
        raise ValueError(
            f"{case_name(item)}: {given!r} must reach the reference phase, found it {gap:.0f} mm outside of "
            f"{reference.path}; give it in mm along R, A and S, as the header of this file has them"
        )


def given_point(item: Mapping[Any, Any]) -> tuple[np.ndarray, float]:
    """Return ``item["point"]``, [x, y, z] in mm, and the side in mm of the cube around it, its optional 4th number.

    Raises:
        ValueError: not three or four numbers, or a side that is not above 0 mm.
    """
    found = numbers(item["point"])
    side = float(found[3]) if len(found) == 4 else POINT_SIDE
    if len(found) not in (3, 4) or not np.isfinite(found).all() or side <= 0:
        raise ValueError(
            f"{case_name(item)}: 'point' must be [x, y, z] in mm along R, A and S, or [x, y, z, side of the "
            f"lesion in mm], found {item['point']}; correct it"
        )
    return found[:3], side


def asked(item: Mapping[Any, Any], key: str) -> bool:
    """Return whether the case has a value under `key` other than empty text."""
    value = item.get(key)
    return value is not None and not (isinstance(value, str) and not value.strip())


def numbers(value: Any) -> np.ndarray:
    """Return the numbers in nested lists or text as a flat array, empty for anything else.

    >>> numbers("[12, -40.5, 88]").tolist(), numbers([[1, 2], [3]]).tolist()
    ([12.0, -40.5, 88.0], [])
    """
    if isinstance(value, str):
        value = value.translate(str.maketrans("[](),;", "      ")).split()
    try:
        return np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return np.empty(0)


class BoxRegiond(Region):
    """The region is ``item["box"]``: two opposite corners in mm along the scanner's R, A and S.

    Instead, a case may have ``item["point"]``, [x, y, z] in mm, which stands for a cube of 20 mm around it; an
    optional fourth number gives another side. If the reference phase is oblique, the region is the smallest box
    in its frame that contains the given one.

    Args:
        keys: key of the phases.
        margin: mm added on every side.

    Raises:
        ValueError: the case has neither, or the box has no extent.
    """

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        box = given_box(item, axes)
        if box is None:
            raise ValueError(
                f"{case_name(item)}: a region from a box needs 'box' (two corners) or 'point', in mm, found "
                "neither; add one, or use MaskRegiond or WholeVolumeRegiond"
            )
        return box


class WholeVolumeRegiond(Region):
    """The region is the whole field of view of the reference phase.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
    """

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        return field_of_view(reference.affine, reference.shape, axes)
