"""What every fusion strategy over tokens shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TokenFusion(nn.Module):
    """Fuses the tokens of a case into one vector. Every strategy is a sub-class in its own file.

    The contract, held by one test over all strategies:

    * ``forward(tokens [B, M, C], present [B, M] bool)`` returns fused [B, F] and a dict, maybe empty, of
      further results; ``weights`` [B, M] sum to 1 over the present tokens;
    * what an absent token holds, even NaN, changes neither results nor gradients: call `zero_absent` first;
    * cases do not influence each other;
    * it scripts, and knows `out_dim`, so that the next layer is built without typing a width.

    Args:
        num_tokens: M, the number of tokens (phases).
        in_dim: C, the width of a token.
        out_dim: F, the width of the fused vector.
    """

    def __init__(self, num_tokens: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.in_dim = in_dim
        self.out_dim = out_dim

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse tokens [B, M, C] into [B, F]."""
        raise NotImplementedError


def zero_absent(values: Tensor, present: Tensor) -> Tensor:
    """Set everything of absent slots to 0, NaN included (a product with the mask would keep NaN).

    Args:
        values: [B, ..., further axes]: tokens, volumes or feature maps.
        present: bool, of the first axes of `values`.
    """
    keep = present
    while keep.dim() < values.dim():
        keep = keep.unsqueeze(-1)
    return torch.where(keep, values, torch.zeros_like(values))


def softmax_over_present(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax over the present tokens: scores [B, M] -> weights [B, M], 0 where absent.

    A case without any token has weights 0.

    >>> softmax_over_present(torch.zeros(1, 3), torch.tensor([[True, False, True]]))
    tensor([[0.5000, 0.0000, 0.5000]])
    """
    weights = torch.where(present, scores, torch.full_like(scores, -1e9)).softmax(dim=1)
    return torch.where(present, weights, torch.zeros_like(weights))
