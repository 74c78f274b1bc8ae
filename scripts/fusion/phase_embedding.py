"""Tokens that carry the name of their phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PhaseEmbedding(nn.Module):
    """Normalises tokens and adds a learned embedding of their phase, for attention treats its keys as a set.

    z_m = layer_norm(f_m) + e_m        e_m learned, drawn from N(0, 1): of the size of a normalised token

    Args:
        num_tokens: M.
        dim: C.

    Shape: tokens [B, M, C] -> [B, M, C].
    """

    def __init__(self, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.embedding = nn.Parameter(torch.randn(num_tokens, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise and name."""
        return self.norm(tokens) + self.embedding
