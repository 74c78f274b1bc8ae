"""What all region rules share: they put the box that the grid is centred on into ``item["region"]``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .frame import frame_axes
from .phase_transform import PhaseTransform, need


class Region(PhaseTransform):
    """Base of the region rules: ``item["region"]`` becomes a box in mm, [2, 3], in the RAS frame of the
    reference.

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
        """Return lower and upper corner of the region in the frame, mm, [2, 3], without the margin."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        reference = need(item, "volumes", "LoadImagePhasesd", self)[item["reference"]]
        axes = frame_axes(reference.affine, reference.shape)
        item["region"] = self.box(item, reference, axes) + np.array([[-self.margin], [self.margin]])
        return item
