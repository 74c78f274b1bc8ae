# SPDX-License-Identifier: Apache-2.0
"""What a network outlines, as a label map for viewers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from scripts.cases.structures import mask_count
from scripts.transforms.viewer_answer import shown_phase
from scripts.volumes.label_map import on_original_voxels


class PaintOutlined(MapTransform):
    """Turns a network's outline into a label map on the voxels of the requested file.

    A voxel is the most probable structure there, 1 for the first, and 0 the background. With one outline per
    phase it is that of the phase in the file. The volumes of the structures in ml are stored in
    ``item["result"]``, which viewers show alongside.

    Args:
        keys: key of the logits.
        structures: S names of the values 1, 2, ...
        phases: names of all phases, in order.
        masks: ``case``, one outline, M = 1; or ``phase``, one for each phase, M = P.

    Shape: [M (S + 1), D, H, W] -> uint8 [1, X, Y, Z], in the axis order of the file.
    """

    def __init__(
        self, keys: str = "pred", structures: Sequence[str] = (), phases: Sequence[str] = (), masks: str = "case"
    ) -> None:
        super().__init__(keys)
        self.structures = list(structures)
        self.phases = list(phases)
        self.masks = masks

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        phase = shown_phase(item)
        volume = item["volumes"][phase]
        slot = self.phases.index(phase) if self.masks == "phase" else 0
        count = mask_count(self.masks, len(self.phases))
        grid = np.asarray(item["grid_affine"], dtype=np.float64)
        for key in self.keys:
            logits = torch.as_tensor(item[key]).as_subclass(torch.Tensor).detach().float().cpu()
            probabilities = logits.unflatten(0, (count, -1))[slot].softmax(dim=0).numpy()
            labels = on_original_voxels(probabilities, grid, volume)
            item[key] = torch.from_numpy(labels[None])
            voxel = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000  # ml
            sizes = {name: voxel * int((labels == value).sum()) for value, name in enumerate(self.structures, start=1)}
            item["result"] = {**item.get("result", {}), "volume_ml": sizes}
        item["image_meta_dict"] = {"original_affine": volume.affine, "spatial_shape": volume.shape}
        item.pop("image", None)
        return item
