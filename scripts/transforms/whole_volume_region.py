"""The whole volume as region."""

from __future__ import annotations

from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .frame import field_of_view
from .region import Region


class WholeVolumeRegiond(Region):
    """The region is all that the reference phase shows.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
    """

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        return field_of_view(reference.affine, reference.shape, axes)
