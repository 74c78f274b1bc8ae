"""The region of interest from a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.data.nearest import listing
from scripts.data.volumes import Volume

from .mask_pieces import pieces_of, voxel_box
from .phase_transform import case_name
from .region import Region, given_box

COMPONENTS = ("all", "largest")


class MaskRegiond(Region):
    """The region is the box around the mask ``item["roi"]``, which may have a grid of its own.

    A case without a mask may name its region in numbers instead: ``item["box"]`` or ``item["point"]``, as in
    `BoxRegiond`.

    A mask may consist of several pieces, as of two lesions. With ``component: all`` the region is the box
    around all of them, and where that is larger than the grid, the grid shows what lies between them. With
    ``component: largest`` it is the box around the largest piece, and around the next ones by size as long as
    all together fit into the grid; a piece of less than a tenth of the largest one never moves it. Pieces are
    voxels that touch by a face, an edge or a corner, their size is their volume.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
        labels: mask values that count; None counts every value above 0.
        component: all or largest.

    Raises:
        ValueError: the case has neither, or no voxel of the mask counts; an unknown component.
    """

    def __init__(
        self,
        keys: str = "image",
        margin: float = 0.0,
        labels: Sequence[int] | None = None,
        component: str = "all",
    ) -> None:
        super().__init__(keys, margin)
        if component not in COMPONENTS:
            raise ValueError(
                f"{type(self).__name__}: `component` must be one of "
                f"{listing(str(component), COMPONENTS)}, found {component!r}"
            )
        self.labels = None if labels is None else list(labels)
        self.component = component

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        mask = item.get("roi")
        if mask is None:
            given = given_box(item, axes)
            if given is None:
                raise ValueError(
                    f"{case_name(item)}: a region from a mask needs 'roi', found none, nor a 'box' or "
                    "'point' in mm; add the mask (in a folder of files as lesion.nii.gz, for instance)"
                )
            return given
        inside = self.counted(mask.read())
        if not inside.any():
            wanted = "voxels above 0" if self.labels is None else f"voxels valued {self.labels}"
            raise ValueError(
                f"{case_name(item)}: the mask must have {wanted}, found none in {mask.path}; correct the "
                "mask or remove the case"
            )
        if self.component == "all":
            return voxel_box(inside, mask.affine, axes)
        item["pieces"] = pieces_of(inside, mask.affine, axes, self.margin)
        return item["pieces"].boxes[0]

    def counted(self, voxels: np.ndarray) -> np.ndarray:
        """Return which voxels of a mask count."""
        return voxels > 0 if self.labels is None else np.isin(voxels, self.labels)
