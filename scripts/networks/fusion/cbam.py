"""Channels, then places, weighed by what all phases show."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import MapFusion, align
from scripts.networks.guarded import GuardedConv3d


class Cbam(MapFusion):
    """Weighs the channels of all phases by averages and maxima over space, then the places over all channels.

    A     = [a_1, ..., a_M]                                               all phases, [M C, d, h, w]
    e     = sigmoid(f(mean over space of A) + f(max over space of A))     f: one hidden layer
    A'    = e * A                                                         [M C, d, h, w]
    s     = sigmoid(conv [mean over channels of A', max over channels of A'])     one number per place
    fused = relu(W (s * A') + b)                                          1 x 1 x 1 convolution

    Where `SqueezeExcitation` knows only how much of a channel there is, the maximum also tells a small bright
    spot; s keeps the places that matter in any phase.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.
        reduction: the hidden layer has M C / reduction units.
        kernel: edge of the convolution over places, odd, cells; the paper has 7 for larger maps.

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
        """Fuse."""
        joined = align(maps, present).flatten(1, 2)
        said = self.channels(joined.mean(dim=[2, 3, 4])) + self.channels(joined.amax(dim=[2, 3, 4]))
        joined = joined * said.sigmoid().reshape(joined.size(0), -1, 1, 1, 1)
        summary = torch.cat([joined.mean(dim=1, keepdim=True), joined.amax(dim=1, keepdim=True)], dim=1)
        places = self.place(summary).sigmoid()
        return torch.relu(self.mix(places * joined)), {"places": places}
