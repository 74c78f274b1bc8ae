"""Concatenation, the plainest fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, zero_absent


class Concat(TokenFusion):
    """Concatenates the tokens and mixes them in one hidden layer.

    fused = dropout(relu(W [f_1, ..., f_M, s_1, ..., s_M] + b)), with s_m = 1 where token m is present and
    f_m = 0 where it is not, so that "absent" and "present but empty" are told apart.

    Args:
        num_tokens: M.
        in_dim: C.
        hidden: F, width of the hidden layer; None: as wide as one token.
        dropout: fraction of the hidden layer dropped while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].
    """

    def __init__(self, num_tokens: int, in_dim: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        self.mix = nn.Linear(num_tokens * (in_dim + 1), self.out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype)], dim=1)
        aux: dict[str, Tensor] = {}
        return self.dropout(torch.relu(self.mix(joined))), aux
