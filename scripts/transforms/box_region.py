"""The region of interest from a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .frame import bounds, box_corners
from .phase_transform import case_name
from .region import Region


class BoxRegiond(Region):
    """The region is ``item["box"]``: two opposite corners in mm, along the scanner's R, A and S.

    Where the reference phase is oblique, the region is the box of its frame around that box.

    Args:
        keys: key of the phases.
        margin: mm added on every side.

    Raises:
        ValueError: the case has no box, or the box has no extent.
    """

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        box = item.get("box")
        if box is None:
            raise ValueError(
                f"{case_name(item)}: a region from a box needs 'box', found none; add the box, or use "
                "MaskRegiond or WholeVolumeRegiond"
            )
        corners = np.asarray(box, dtype=np.float64)
        if corners.shape != (2, 3) or not np.isfinite(corners).all() or (corners[0] == corners[1]).any():
            raise ValueError(
                f"{case_name(item)}: 'box' must be two corners [[x, y, z], [x, y, z]] in mm that differ on "
                f"every axis, found {box}; correct it"
            )
        return bounds(box_corners(corners), axes)
