"""Squashed tokens, side by side."""

from __future__ import annotations

from torch import Tensor

from scripts.networks.fusion.base import TokenFusion, zero_absent


class SideBySide(TokenFusion):
    """Sets the tokens side by side, each number squashed into 0 to 1; the next layer weighs them.

    fused = [sigmoid(f_1), ..., sigmoid(f_M)], 0 where a token is absent

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, M C].
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=num_tokens * in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        aux: dict[str, Tensor] = {}
        return zero_absent(zero_absent(tokens, present).sigmoid(), present).flatten(1), aux
