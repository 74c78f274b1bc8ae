"""The largest of the present tokens, feature by feature."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.networks.fusion.base import TokenFusion


class Max(TokenFusion):
    """Takes every feature from the present token that shows it most.

    fused_c = max over present m of f_mc; 0 when none is present

    It has no weights, serves any number of tokens and does not know which phase a token comes from.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, C].

    Reference: Su et al., Multi-view convolutional neural networks for 3D shape recognition, ICCV 2015 (view
    pooling).
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        lowest = torch.full_like(tokens, -float("inf"))
        largest = torch.where(present.unsqueeze(2), tokens, lowest).amax(dim=1)
        aux: dict[str, Tensor] = {}
        return torch.where(present.any(dim=1, keepdim=True), largest, torch.zeros_like(largest)), aux
