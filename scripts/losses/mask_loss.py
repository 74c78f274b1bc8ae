# SPDX-License-Identifier: Apache-2.0
"""The loss of a classifier that also learns masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from scripts.losses.outline_loss import OutlineLoss
from scripts.volumes.label_map import NOT_DRAWN
from torch import Tensor, nn


class Drawn(Protocol):
    """What prepares the batches, and keeps the masks of the last."""

    mask: Tensor | None


class MaskLoss(nn.Module):
    """Adds the loss of the outlines of all phases to that of the classes.

    loss = L_class + weight * L_outline

    L_outline is `OutlineLoss` over the pairs (case, phase) that have a mask and were read. A mask of the case is
    that of each of its phases, which share one grid. A batch without any mask has L_class alone.

    Args:
        loss: of the classes; called as ``loss(output, label)``.
        num_structures: S.
        weight: lambda, at least 0; with 0 masks are not looked at.
        kind: ``dice_ce`` or ``dice_focal``, see `OutlineLoss`.
        batches: the ``prepare_batch`` of the trainer, whose ``mask`` [B, M, D, H, W] is that of the batch, M = 1 or P;
            255 where a mask is not drawn.

    Raises:
        ValueError: a negative weight; when called, outputs without outlines.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        batches: Drawn,
        num_structures: int = 1,
        weight: float = 1.0,
        kind: str = "dice_ce",
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"mask_weight must be at least 0, found {weight}; correct it")
        self.loss = loss
        self.batches = batches
        self.weight = float(weight)
        self.of_outlines = OutlineLoss(num_structures, kind)

    def forward(self, output: dict[str, Any], label: Tensor) -> Tensor:
        """Compute the loss of one training batch."""
        of_classes = self.loss(output, label)
        if self.weight == 0:
            return of_classes
        if not isinstance(output, dict) or "outline" not in output:
            raise ValueError(
                "masks are learned by scripts.networks.WithMasks around the network, found an output without "
                "`outline`; name configs/training/with_masks.yaml last"
            )
        if self.batches.mask is None:
            raise ValueError(
                "masks are learned from `mask` of every case, found a batch without; prepare the training cases by "
                "scripts.transforms.with_masks"
            )
        target = target_of_phases(self.batches.mask, output["outlined"])
        return of_classes + self.weight * self.of_outlines(output["outline"], target)


def target_of_phases(mask: Tensor, outlined: Tensor) -> Tensor:
    """Return the mask of each phase: [B, M, D, H, W], M = 1 or P, and [B, P] bool -> [B, P, D, H, W].

    >>> target_of_phases(torch.ones(1, 1, 1, 1, 1), torch.tensor([[True, False]])).flatten()
    tensor([  1., 255.])
    """
    of_phases = mask.expand(-1, outlined.shape[1], -1, -1, -1)
    return torch.where(outlined[:, :, None, None, None], of_phases, NOT_DRAWN)
