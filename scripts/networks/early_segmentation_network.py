# SPDX-License-Identifier: Apache-2.0
"""Outlines from phases that enter as the channels of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import DynUNet
from scripts.networks.fusion.base import zero_absent
from scripts.networks.guarded import guard_convolutions
from scripts.networks.outline_network import OutlineNetwork
from scripts.networks.parts import Part
from scripts.networks.plan import divisors, plan_stages
from torch import Tensor
from torch.nn import functional


class EarlySegmentationNetwork(OutlineNetwork):
    """MONAI's DynUNet over all phases as channels, with kernels and strides by nnU-Net's rule (`plan_stages`).

    An absent phase is read as zeros. Where a stride does not divide the size of an image, zeros behind its end
    make it longer, and the result is cut back.

    DynUNet's own deep supervision does not script, and brings all levels to full size; here coarser levels
    are asked in training alone, at their own size.

    Args:
        encoder, fusion, share_encoder, decoder, stem_dim: not read; see `SegmentationNetwork` for the others.
        width: channels of the finest stage, doubled from stage to stage up to 10 times as many (nnU-Net: 32
            to 320).
        spacing: mm between voxels along each axis.
        patch_size: voxels of a patch along each axis.

    Shape: image [B, P, D, H, W] -> logits [B, M (S + 1), D, H, W].

    Reference: Isensee et al., nnU-Net, Nature Methods 2021.

    >>> network = EarlySegmentationNetwork(num_phases=2, width=4, spacing=[1, 1, 6], patch_size=[32, 32, 5])
    >>> network.eval()(torch.rand(1, 2, 30, 32, 5)).shape
    torch.Size([1, 2, 30, 32, 5])
    """

    def __init__(
        self,
        encoder: Part | None = None,
        fusion: Part | None = None,
        num_phases: int = 1,
        num_structures: int = 1,
        num_masks: int = 1,
        share_encoder: bool = True,
        decoder: str = "unet",
        width: int = 32,
        deep_supervision: bool = False,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        patch_size: Sequence[int] = (64, 64, 64),
        stem_dim: int = 8,
    ) -> None:
        super().__init__(num_phases, num_structures, num_masks, deep_supervision)
        kernels, strides = plan_stages(spacing, patch_size)
        further = max(0, 3 - len(strides))  # DynUNet has three stages or more
        kernels, strides = kernels + kernels[-1:] * further, strides + [[1, 1, 1]] * further
        filters = [min(width * 2**stage, 10 * width) for stage in range(len(strides))]
        channels = num_masks * (num_structures + 1)
        self.divisors: list[int] = divisors(strides)
        self.unet: Any = guard_convolutions(
            DynUNet(3, num_phases, channels, kernels, strides, strides[1:], filters=filters)
        )
        self.set_supervision(filters[1:-1], channels)

    def outlines(self, image: Tensor, present: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the network over a size that its strides divide."""
        d, h, w = image.size(2), image.size(3), image.size(4)
        longer = [-d % self.divisors[0], -h % self.divisors[1], -w % self.divisors[2]]
        image = functional.pad(zero_absent(image, present), [0, longer[2], 0, longer[1], 0, longer[0]])
        decoded: list[Tensor] = []
        if not torch.jit.is_scripting() and self.training:
            logits, decoded = self._every_level(image)
        else:
            logits = self.unet(image)
        return self.by_mask(logits[:, :, :d, :h, :w]), decoded

    @torch.jit.unused
    def _every_level(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run DynUNet, as its own forward does, and keep the decoded maps of the coarser levels."""
        kept = [self.unet.input_block(image)]
        for down in self.unet.downsamples:
            kept.append(down(kept[-1]))
        maps, decoded = self.unet.bottleneck(kept[-1]), []
        for up, skip in zip(self.unet.upsamples, reversed(kept), strict=True):
            maps = up(maps, skip)
            decoded.append(maps)
        return self.unet.output_block(maps), decoded[-2::-1]
