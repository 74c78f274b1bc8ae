"""Dynamic affine transform of feature maps by the clinical table and the image itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.film import modulate
from scripts.networks.presence import pool


class Daft(nn.Module):
    """Scales and shifts every channel by what the clinical table and the image say together.

    (gamma, beta) = W_2 relu(W_1 [mean over space of maps, t])
    maps -> relu((1 + gamma) * maps + beta), the identity at first: W_2 = 0

    Args:
        channels: C, of the feature maps.
        table_dim: width of the encoded table t.
        reduction: W_1 leaves (C + table_dim) / reduction features: the bottleneck.

    Shape: maps [B, C, d, h, w], table [B, table_dim] -> maps [B, C, d, h, w].

    Reference: Poelsterl et al., Combining 3D image and tabular data via the dynamic affine feature map
        transform, MICCAI 2021; Wolf et al., DAFT, NeuroImage 2022.
    """

    def __init__(self, channels: int, table_dim: int, reduction: int = 7) -> None:
        super().__init__()
        width = max(1, (channels + table_dim) // reduction)
        self.squeeze = nn.Linear(channels + table_dim, width, bias=False)
        self.expand = nn.Linear(width, 2 * channels, bias=False)
        nn.init.zeros_(self.expand.weight)

    def forward(self, maps: Tensor, table: Tensor) -> Tensor:
        """Modulate."""
        seen = torch.cat([pool(maps), table], dim=1)
        return modulate(maps, self.expand(torch.relu(self.squeeze(seen))))
