"""Concatenation of feature maps, of whatever sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.networks.fusion.base import MapFusion, align
from scripts.networks.guarded import GuardedConv3d


class ConcatMaps(MapFusion):
    """Concatenates maps of different sizes on the finest grid, and mixes them with their neighbourhood.

    fused = relu(conv_3x3x3 [resize(a_1), ..., resize(a_M)])       trilinear; 0 where phase m is absent

    Beside what the phases show at one place, the convolution sees what they show one cell away: phases may
    lie a little beside each other.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.

    Shape: M maps [B, C, d_m, h_m, w_m], present [B, M] -> [B, F, d, h, w], the largest d_m, h_m and w_m.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        self.mix = GuardedConv3d(num_maps * in_dim, self.out_dim, 3, padding=1)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(align(maps, present).flatten(1, 2))), aux
