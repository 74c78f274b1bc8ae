# SPDX-License-Identifier: Apache-2.0
"""Fusion of feature maps, position by position."""

from __future__ import annotations

import torch
from monai.networks.blocks import ChannelSELayer
from scripts.networks.fusion.base import MapFusion, align, softmax_over_present
from scripts.networks.guarded import GuardedConv3d
from torch import Tensor, nn


class AdaptiveConv(MapFusion):
    """Mixes the channels of all phases at each position, by one learned 1 x 1 x 1 convolution.

    fused(x) = relu(W [a_1(x), ..., a_M(x)] + U s + b)       at every position x

    a_m is the map of phase m, 0 where it is absent, and s_m = 1 where it is present, else 0. Unlike `Concat`,
    which sees averages over the volume, it applies the rectifier at every position: it combines what the phases
    show at the same position, not anywhere in the volume.

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
        joined = align(maps, present).flatten(1, 2)
        flags = self.flags(present.to(joined.dtype)).reshape(-1, self.out_dim, 1, 1, 1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(joined) + flags), aux


class ConcatMaps(MapFusion):
    """Concatenates maps of different sizes on the finest grid, and mixes neighbouring positions.

    fused = relu(conv_3x3x3 [resize(a_1), ..., resize(a_M)])       trilinear; 0 where phase m is absent

    The convolution also sees the neighbouring cells, since phases may be slightly misaligned.

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
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(align(maps, present).flatten(1, 2))), aux


class Depthwise(MapFusion):
    """Compares each channel with the same channel of the other phases and nearby cells, then mixes channels.

    u_c   = conv_3x3x3 [a_1c, ..., a_Mc]            channel c of all phases; 0 where a phase is absent
    fused = relu(W relu(u) + b)                     1 x 1 x 1 convolution

    After an encoder that all phases share, channel c means the same in each of them, so that washout shows as a
    difference. It has 27 M C + C F weights; a full convolution has 27 M C F.

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
        by_channel = align(maps, present).transpose(1, 2).flatten(1, 2)  # the phases of channel 0, of 1, ...
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(torch.relu(self.across(by_channel)))), aux


class SpatialGated(MapFusion):
    """Weights the phases at every position by gates that depend on all phases there.

    g_m(x)   = softmax over present m of (w_m [a_1(x), ..., a_M(x)] + b_m)        at every position x
    h_m      = relu(V_m a_m + c_m)                                                a 1 x 1 x 1 layer per phase
    fused(x) = sum over present m of g_m(x) h_m(x);  0 when none is present

    The layers V_m distinguish the phases after an encoder that all of them share. The reported weights are the
    means of the gates over space.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w] with ``weights`` [B, M] and ``gates``
        [B, M, d, h, w], which sum to 1 at every position.

    Reference: Arevalo et al., Gated multimodal units for information fusion, ICLR workshop 2017.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        self.gate = GuardedConv3d(num_maps * in_dim, num_maps, 1)
        self.layers = GuardedConv3d(num_maps * in_dim, num_maps * self.out_dim, 1, groups=num_maps)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        joined = align(maps, present).flatten(1, 2)
        scores = self.gate(joined)
        there = present.reshape(-1, self.num_maps, 1, 1, 1).expand_as(scores)
        gates = softmax_over_present(scores, there)
        said = torch.relu(self.layers(joined))
        said = said.reshape([-1, self.num_maps, self.out_dim, said.size(2), said.size(3), said.size(4)])
        fused = (gates.unsqueeze(2) * said).sum(dim=1)
        return fused, {"weights": gates.mean(dim=[2, 3, 4]), "gates": gates}


class SqueezeExcitation(MapFusion):
    """Scales each channel of each phase by a factor computed from the means of all channels of all phases.

    z     = [mean over space of a_1, ..., mean over space of a_M]              [M C], squeeze
    e     = sigmoid(W_2 relu(W_1 z + b_1) + b_2)                                [M C], excitation
    fused = relu(W [e_1 * a_1, ..., e_M * a_M] + b)                             1 x 1 x 1 convolution

    One phase can thus suppress channels of another. The reported weights are the shares of the phases in the
    excitation, averaged over the channels.

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
        joined = align(maps, present).flatten(1, 2)
        excitation = self.excite.fc(joined.mean(dim=[2, 3, 4]))
        fused = torch.relu(self.mix(joined * excitation.reshape(joined.size(0), -1, 1, 1, 1)))
        share = excitation.reshape(-1, self.num_maps, self.in_dim).mean(dim=2)
        share = torch.where(present, share, torch.zeros_like(share))
        total = share.sum(dim=1, keepdim=True).clamp_min(1e-30)
        return fused, {"weights": share / total}


class Cbam(MapFusion):
    """Weights the channels of all phases by means and maxima over space, then the positions over all channels.

    A     = [a_1, ..., a_M]                                               all phases, [M C, d, h, w]
    e     = sigmoid(f(mean over space of A) + f(max over space of A))     f: one hidden layer
    A'    = e * A                                                         [M C, d, h, w]
    s     = sigmoid(conv [mean over channels of A', max over channels of A'])     one number per position
    fused = relu(W (s * A') + b)                                          1 x 1 x 1 convolution

    `SqueezeExcitation` only sees the mean of a channel; the maximum also detects a small bright spot. s keeps
    the positions that matter in any phase.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.
        reduction: the hidden layer has M C / reduction units.
        kernel: size of the convolution over positions in cells, odd; the paper uses 7, for larger maps.

    Raises:
        ValueError: an even kernel.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w] and ``places`` = s [B, 1, d, h, w].

    Reference: Woo et al., CBAM: convolutional block attention module, ECCV 2018, eq. 2 and 3.
    """

    def __init__(
        self, num_maps: int, in_dim: int, out_dim: int | None = None, reduction: int = 4, kernel: int = 3
    ) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        if kernel % 2 != 1:
            raise ValueError(f"kernel must be an odd number of cells, found {kernel}; 3 is the default")
        width = num_maps * in_dim
        hidden = max(1, width // reduction)
        self.channels = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.place = GuardedConv3d(2, 1, kernel, padding=kernel // 2)
        self.mix = GuardedConv3d(width, self.out_dim, 1)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        joined = align(maps, present).flatten(1, 2)
        said = self.channels(joined.mean(dim=[2, 3, 4])) + self.channels(joined.amax(dim=[2, 3, 4]))
        joined = joined * said.sigmoid().reshape(joined.size(0), -1, 1, 1, 1)
        summary = torch.cat([joined.mean(dim=1, keepdim=True), joined.amax(dim=1, keepdim=True)], dim=1)
        places = self.place(summary).sigmoid()
        return torch.relu(self.mix(places * joined)), {"places": places}
