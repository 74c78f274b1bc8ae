"""The region of interest from a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.data.volumes import Volume

from .frame import bounds
from .phase_transform import case_name
from .region import Region, given_box


class MaskRegiond(Region):
    """The region is the box around the mask ``item["roi"]``, which may have a grid of its own.

    A case without a mask may name its region in numbers instead: ``item["box"]`` or ``item["point"]``, as in
    `BoxRegiond`.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
        labels: mask values that count; None counts every value above 0.

    Raises:
        ValueError: the case has neither, or no voxel of the mask counts.
    """

    def __init__(self, keys: str = "image", margin: float = 0.0, labels: Sequence[int] | None = None) -> None:
        super().__init__(keys, margin)
        self.labels = None if labels is None else list(labels)

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        mask = item.get("roi")
        if mask is None:
            given = given_box(item, axes)
            if given is None:
                raise ValueError(
                    f"{case_name(item)}: a region from a mask needs 'roi', found none, nor a 'box' or "
                    "'point' in mm; add the mask, or use WholeVolumeRegiond"
                )
            return given
        inside = self.counted(mask.read())
        lines = inside.any(axis=2)
        if not lines.any():
            wanted = "voxels above 0" if self.labels is None else f"voxels valued {self.labels}"
            raise ValueError(
                f"{case_name(item)}: the mask must have {wanted}, found none in {mask.path}; correct the "
                "mask or remove the case"
            )
        rows = inside[lines]
        first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
        ends = np.concatenate([np.c_[np.argwhere(lines), first], np.c_[np.argwhere(lines), last]])
        half_voxel = np.abs(axes.T @ mask.affine[:3, :3]).sum(axis=1) / 2
        return bounds(ends @ mask.affine[:3, :3].T + mask.affine[:3, 3], axes) + [-half_voxel, half_voxel]

    def counted(self, voxels: np.ndarray) -> np.ndarray:
        """Return which voxels of a mask count."""
        return voxels > 0 if self.labels is None else np.isin(voxels, self.labels)
