"""Channels of all phases, weighed by what the whole case shows."""

from __future__ import annotations

import torch
from monai.networks.blocks import ChannelSELayer
from torch import Tensor

from scripts.networks.fusion.base import MapFusion, align
from scripts.networks.guarded import GuardedConv3d


class SqueezeExcitation(MapFusion):
    """Turns each channel of each phase up or down by the averages of all channels of all phases.

    z     = [mean over space of a_1, ..., mean over space of a_M]              [M C], squeeze
    e     = sigmoid(W_2 relu(W_1 z + b_1) + b_2)                                [M C], excitation
    fused = relu(W [e_1 * a_1, ..., e_M * a_M] + b)                             1 x 1 x 1 convolution

    One phase can thereby silence channels of another. The weights that are reported are the shares of the
    phases in the excitation, mean over the channels.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.
        reduction: the hidden layer has M C / reduction units.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w] and ``weights`` [B, M].

    Reference: Hu et al., Squeeze-and-excitation networks, CVPR 2018, eq. 2 to 4 (MONAI's `ChannelSELayer`).
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None, reduction: int = 4) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        width = num_maps * in_dim
        self.excite = ChannelSELayer(spatial_dims=3, in_channels=width, r=min(reduction, width))
        self.mix = GuardedConv3d(width, self.out_dim, 1)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        joined = align(maps, present).flatten(1, 2)
        excitation = self.excite.fc(joined.mean(dim=[2, 3, 4]))
        fused = torch.relu(self.mix(joined * excitation.reshape(joined.size(0), -1, 1, 1, 1)))
        share = excitation.reshape(-1, self.num_maps, self.in_dim).mean(dim=2)
        share = torch.where(present, share, torch.zeros_like(share))
        total = share.sum(dim=1, keepdim=True).clamp_min(1e-30)
        return fused, {"weights": share / total}
