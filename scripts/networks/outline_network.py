# SPDX-License-Identifier: Apache-2.0
"""What networks that outline have in common: one signature, one result, heads that only a training has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from scripts.networks.parts import check_phases, presence
from torch import Tensor, nn

TRAINING_ONLY = "supervision."
"""Prefix of the weights that deep supervision has beside those of the network."""


class OutlineNetwork(nn.Module):
    """From an image to the logits of every voxel: sub-classes say how.

    With M masks and S structures there are M (S + 1) channels, mask after mask, the background first; the
    softmax runs over the S + 1 channels of one mask.

    Deep supervision asks coarser levels for the outline, too, by one layer each. These layers exist where it
    is on, and serve the training alone: a network without it loads such weights strictly, leaves exactly them
    out, and scripts.

    Args:
        num_phases: P.
        num_structures: S.
        num_masks: M: 1, one mask of the case, or P, one of each phase.
        deep_supervision: give logits of coarser levels in training, and have layers for them.

    Raises:
        ValueError: for another number of masks, or no structure.
    """

    def __init__(self, num_phases: int, num_structures: int, num_masks: int, deep_supervision: bool) -> None:
        super().__init__()
        if num_masks not in (1, num_phases) or num_structures < 1:
            raise ValueError(
                f"num_masks must be 1 or the number of phases, {num_phases}, and num_structures 1 or more, found "
                f"{num_masks} and {num_structures}; correct them in network_def"
            )
        self.num_phases = num_phases
        self.num_structures = num_structures
        self.num_masks = num_masks
        self.deep_supervision = deep_supervision
        self.register_load_state_dict_pre_hook(_leave_out)

    def set_supervision(self, dims: list[int], channels: int) -> None:
        """Build a layer for every level that training asks: all decoded ones but the coarsest of several."""
        asked = dims[: max(1, len(dims) - 1)] if self.deep_supervision else []
        self.supervision: Any = nn.ModuleList(nn.Conv3d(dim, channels, 1) for dim in asked) if asked else None

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Any]:
        """Outline.

        Args:
            image: [B, P, D, H, W]; absent phases may hold anything, NaN included, if `present` is given.
            clinical: not read.
            present: [B, P], or [1, P] for all cases alike; None: a phase whose voxels are all 0 is absent.
                Of a patch these may be air: give `present` of the whole scan.

        Returns:
            Logits [B, M (S + 1), D, H, W] float32. In eager training a dict with the ``logits``, ``present``
            [B, P], and with deep supervision ``levels``: logits of coarser grids, from fine to coarse.

        Raises:
            ValueError: when the image has another number of phases.
        """
        check_phases(image, self.num_phases)
        there = presence(image, present).expand(image.size(0), -1)
        if not torch.jit.is_scripting() and self.training:
            return self._training(image, there)
        return self.outlines(image, there)[0]

    @torch.jit.unused
    def _training(self, image: Tensor, present: Tensor) -> dict[str, Any]:
        logits, decoded = self.outlines(image, present)
        found: dict[str, Any] = {"logits": logits, "present": present}
        if self.supervision is not None:
            asked = zip(self.supervision, decoded[: len(self.supervision)], strict=True)
            found["levels"] = [self.by_mask(head(maps)) for head, maps in asked]
        return found

    def outlines(self, image: Tensor, present: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits [B, M (S + 1), D, H, W], and the decoded maps of coarser levels, fine to coarse."""
        raise NotImplementedError

    def by_mask(self, logits: Tensor) -> Tensor:
        """Bring the channels of all masks together, in float32: -> [B, M (S + 1), d, h, w]."""
        channels = self.num_masks * (self.num_structures + 1)
        return logits.float().reshape([-1, channels, logits.size(2), logits.size(3), logits.size(4)])


def without_supervision(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that a network reads: without those of deep supervision where it has none."""
    left_out = isinstance(network, OutlineNetwork) and not network.deep_supervision
    return {name: value for name, value in state.items() if not (left_out and name.startswith(TRAINING_ONLY))}


def _leave_out(network: OutlineNetwork, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    if not network.deep_supervision:
        for name in [name for name in state if name.startswith(prefix + TRAINING_ONLY)]:
            del state[name]
