"""The lightest convolution over all phases."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.networks.fusion.base import MapFusion, align
from scripts.networks.guarded import GuardedConv3d


class Depthwise(MapFusion):
    """Compares each channel with the same channel of the other phases and its neighbourhood, then mixes.

    u_c   = conv_3x3x3 [a_1c, ..., a_Mc]            channel c of all phases; 0 where a phase is absent
    fused = relu(W relu(u) + b)                     1 x 1 x 1 convolution

    Behind an encoder that all phases share, channel c means the same in each of them: this is where washout
    is a difference. It has 27 M C + C F weights, where a full convolution has 27 M C F.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w].

    Reference: depthwise separable convolutions, Howard et al., MobileNets, arXiv:1704.04861, eq. 3.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        self.across = GuardedConv3d(num_maps * in_dim, in_dim, 3, padding=1, groups=in_dim)
        self.mix = GuardedConv3d(in_dim, self.out_dim, 1)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        by_channel = align(maps, present).transpose(1, 2).flatten(1, 2)  # the phases of channel 0, of 1, ...
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(torch.relu(self.across(by_channel)))), aux
