"""Feature-wise linear modulation of feature maps by the clinical table."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def modulate(maps: Tensor, gamma_beta: Tensor) -> Tensor:
    """Return relu((1 + gamma) * maps + beta), channel by channel.

    The rectifier is what makes this more than a change of the averaged features: beta decides which voxels
    count at all. Maps of an encoder that ends in one itself are unchanged where gamma = beta = 0.

    Args:
        maps: [B, C, d, h, w].
        gamma_beta: gamma and beta side by side, [B, 2 C].
    """
    gamma, beta = gamma_beta.reshape(-1, 2, maps.size(1), 1, 1, 1).unbind(dim=1)
    return torch.relu((1 + gamma) * maps + beta)


class Film(nn.Module):
    """Scales and shifts every channel by what the clinical table says.

    (gamma, beta) = W t + b; maps -> relu((1 + gamma) * maps + beta), the identity at first: W = b = 0

    Args:
        channels: C, of the feature maps.
        table_dim: width of the encoded table t.

    Shape: maps [B, C, d, h, w], table [B, table_dim] -> maps [B, C, d, h, w].

    Reference: Perez et al., FiLM: visual reasoning with a general conditioning layer, AAAI 2018.
    """

    def __init__(self, channels: int, table_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(table_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, maps: Tensor, table: Tensor) -> Tensor:
        """Modulate."""
        return modulate(maps, self.affine(table))
