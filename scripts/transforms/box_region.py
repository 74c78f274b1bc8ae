"""The region of interest from a box."""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .phase_transform import case_name
from .region import Region, given_box


class BoxRegiond(Region):
    """The region is ``item["box"]``: two opposite corners in mm, along the scanner's R, A and S.

    Instead of a box, a case may have ``item["point"]``, [x, y, z] in mm, which stands for a cube of 20 mm
    around it; a fourth number is another side. Where the
    reference phase is oblique, the region is the box of its frame around that box.

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
