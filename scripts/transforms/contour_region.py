"""The region of interest as the mask itself, whatever its shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .mask_region import MaskRegiond
from .phase_transform import case_name


@dataclass(frozen=True)
class Contour:
    """A mask and what is counted around it.

    Attributes:
        voxels: bool [X, Y, Z].
        affine: index -> mm, [4, 4].
        margin: mm.
    """

    voxels: np.ndarray
    affine: np.ndarray
    margin: float

    def covers(self, grid: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
        """Return which points of a grid lie within the mask or at most `margin` from a point that does.

        Args:
            grid: grid index -> mm, [4, 4].
            size: points along D, H, W.

        Returns:
            bool [D, H, W].
        """
        from scipy.ndimage import affine_transform, distance_transform_edt

        change = np.linalg.inv(self.affine) @ grid
        within = affine_transform(self.voxels.astype(np.uint8), change, output_shape=size, order=0) > 0
        if self.margin == 0 or not within.any():
            return within
        return distance_transform_edt(~within, sampling=np.linalg.norm(grid[:3, :3], axis=0)) <= self.margin


class ContourRegiond(MaskRegiond):
    """As `MaskRegiond`, but what lies farther than the margin from the mask itself is 0 in all phases.

    Where the shape of an organ or lesion is known and what surrounds it would distract. One mask serves all
    phases: give it a margin for what moves between them.

    Args:
        keys: key of the phases.
        margin: mm around the mask that are kept.
        labels: mask values that count; None counts every value above 0.

    Raises:
        ValueError: the case has no mask, or no voxel of it counts.
    """

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        if item.get("roi") is None:
            raise ValueError(
                f"{case_name(item)}: a region with the contour of a mask needs 'roi', found none; add the "
                "mask, or use MaskRegiond, which takes a box or a point as well"
            )
        return super().box(item, reference, axes)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = super().__call__(data)
        mask = item["roi"]
        item["contour"] = Contour(self.counted(mask.read()), mask.affine, self.margin)
        return item
