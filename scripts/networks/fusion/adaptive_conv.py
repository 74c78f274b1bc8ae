"""A learned mixture of all phases at every place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import MapFusion, align
from scripts.networks.guarded import GuardedConv3d


class AdaptiveConv(MapFusion):
    """Mixes the channels of all phases place by place, by one learned convolution of 1 x 1 x 1.

    fused(x) = relu(W [a_1(x), ..., a_M(x)] + U s + b)       at every place x

    a_m is the map of phase m, 0 where it is absent, and s_m = 1 where it is present, else 0. Unlike `Concat`,
    which sees averages over the volume, the rectifier acts at every place: what phases show at the same
    place counts, not what they show anywhere.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w].

    Reference: the 1 x 1 convolution of Lin et al., Network in network, ICLR 2014, across modalities.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        self.mix = GuardedConv3d(num_maps * in_dim, self.out_dim, 1)
        self.flags = nn.Linear(num_maps, self.out_dim, bias=False)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        joined = align(maps, present).flatten(1, 2)
        flags = self.flags(present.to(joined.dtype)).reshape(-1, self.out_dim, 1, 1, 1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(joined) + flags), aux
