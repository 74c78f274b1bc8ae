"""A weighted sum with one learned weight per phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, softmax_over_present, zero_absent


class WeightedSum(TokenFusion):
    """Adds the tokens with one learned weight per phase, the same in every case.

    w     = softmax over present m of s_m       s_m learned; equal at the start
    fused = sum over m of w_m f_m

    The weights of a case with absent phases are those of the others, scaled to sum to 1.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] and ``weights`` = w [B, M].

    Reference: Peters et al., Deep contextualized word representations, NAACL 2018, eq. 1 (scalar mix).
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.scores = nn.Parameter(torch.zeros(num_tokens))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        weights = softmax_over_present(self.scores.expand(present.shape), present)
        fused = (weights.unsqueeze(2) * zero_absent(tokens, present)).sum(dim=1)
        return fused, {"weights": weights}
