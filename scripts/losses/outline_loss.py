# SPDX-License-Identifier: Apache-2.0
"""The loss of outlines: overlap and every voxel's class, at full size and at coarser levels."""

from __future__ import annotations

from typing import Any

import torch
from monai.losses import DiceCELoss, DiceFocalLoss
from scripts.volumes.label_map import NOT_DRAWN
from torch import Tensor, nn
from torch.nn import functional

LOSSES: dict[str, type[DiceCELoss] | type[DiceFocalLoss]] = {"dice_ce": DiceCELoss, "dice_focal": DiceFocalLoss}
"""MONAI's losses by the name in the configuration."""


class OutlineLoss(nn.Module):
    """MONAI's Dice loss beside the cross-entropy or the focal loss, of those masks that are drawn.

    loss = sum_l w_l criterion(level l) / sum_l w_l,   w_l = 2^-l,   l = 0 the full size

    The criterion sees the pairs (case, mask) that are drawn as the cases of one batch. Coarser levels are
    compared with the target at the nearest voxel.

    Args:
        num_structures: S.
        kind: ``dice_ce`` or ``dice_focal``.
        include_background: whether the background counts in the Dice loss (of ``dice_focal`` in both parts).
        batch: overlap of all pairs together, steadier where patches lack a structure; else of each alone.

    Raises:
        ValueError: for another kind.

    Reference: Isensee et al., nnU-Net, Nature Methods 2021 (Dice and cross-entropy, weights of the levels);
    Lin et al., Focal loss for dense object detection, ICCV 2017.
    """

    def __init__(
        self, num_structures: int, kind: str = "dice_ce", include_background: bool = False, batch: bool = True
    ) -> None:
        super().__init__()
        if kind not in LOSSES:
            raise ValueError(f"kind of the loss must be one of {', '.join(LOSSES)}, found {kind!r}; correct it")
        self.num_structures = num_structures
        self.criterion = LOSSES[kind](
            include_background=include_background, to_onehot_y=True, softmax=True, batch=batch
        )

    def forward(self, output: Tensor | dict[str, Any], target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            output: logits [B, M (S + 1), D, H, W], or the network's dict with ``logits`` and maybe ``levels``.
            target: [B, M, D, H, W] uint8: 0 background, 1 to S structures, 255 where a mask is not drawn:
                one such voxel, and the pair is left out.

        Returns:
            A scalar; 0, with gradients 0, where nothing is drawn.

        Raises:
            ValueError: for values above S, and for logits of another number of masks or structures.
        """
        levels = [output["logits"], *output.get("levels", [])] if isinstance(output, dict) else [output]
        masks = target.shape[1]
        if levels[0].shape[1] != masks * (self.num_structures + 1):
            raise ValueError(
                f"{masks} masks of {self.num_structures} structures and the background need "
                f"{masks * (self.num_structures + 1)} channels of logits, found {levels[0].shape[1]}; num_structures "
                "and num_masks of the network must be those of the loss and of the masks"
            )
        drawn = target.flatten(2).amax(dim=2) != NOT_DRAWN
        if not drawn.any():
            return sum((level.sum() * 0 for level in levels), torch.zeros((), device=target.device))
        truth = target[drawn].unsqueeze(1)
        if int(truth.max()) > self.num_structures:
            raise ValueError(
                f"a mask must hold 0 to {self.num_structures}, or 255 where it is not drawn, found "
                f"{int(truth.max())}; name it in `structures` of dataset.json, or correct the mask"
            )
        weights = [0.5**depth for depth in range(len(levels))]
        losses = [weight * self._level(level, truth, drawn) for weight, level in zip(weights, levels, strict=True)]
        return torch.stack(losses).sum() / sum(weights)

    def _level(self, logits: Tensor, truth: Tensor, drawn: Tensor) -> Tensor:
        pairs = logits.float().unflatten(1, (drawn.shape[1], -1))[drawn]
        if truth.shape[2:] != pairs.shape[2:]:
            truth = functional.interpolate(truth, size=pairs.shape[2:], mode="nearest-exact")
        return self.criterion(pairs, truth)
