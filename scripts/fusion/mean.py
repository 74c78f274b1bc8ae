"""The mean of the present tokens."""

from __future__ import annotations

from torch import Tensor

from scripts.fusion.base import TokenFusion, zero_absent


class Mean(TokenFusion):
    """Averages the tokens that are present.

    fused = sum over present m of f_m / number of present tokens; 0 when none is present

    It has no weights, serves any number of tokens and does not know which phase a token comes from.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, C].

    Reference: Havaei et al., HeMIS: hetero-modal image segmentation, MICCAI 2016 (its first moment).
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        aux: dict[str, Tensor] = {}
        return mean_over_present(tokens, present), aux


def mean_over_present(tokens: Tensor, present: Tensor) -> Tensor:
    """Average the present tokens [B, M, C] of every case: [B, C], 0 for a case without any.

    >>> import torch
    >>> mean_over_present(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.tensor([[True, False, True]]))
    tensor([[3.5000]])
    """
    count = present.sum(dim=1, keepdim=True).clamp_min(1)
    return zero_absent(tokens, present).sum(dim=1) / count
