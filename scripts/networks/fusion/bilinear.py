"""Low-rank bilinear pooling of every pair of phases."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, zero_absent


class Bilinear(TokenFusion):
    """Lets the features of every two phases multiply, beside the plain concatenation.

    u_m   = U_m f_m                                                       rank features of phase m
    fused = relu(W [f_1, ..., f_M, s_1, ..., s_M] + sum over pairs m < n of P_mn (u_m * u_n) + b)

    with s_m = 1 where token m is present. Every fused feature thus adds to a linear form (the skip path) a
    bilinear form f_m' B_mn f_n, of rank at most `rank`, for every pair. u has no bias: an absent phase has
    u_m = 0 and adds nothing to its pairs. A single phase has no pair, and the strategy is a plain layer.

    Args:
        num_tokens: M.
        in_dim: C.
        rank: width of u, the greatest rank of each bilinear form.
        hidden: F, width of the fused vector; None: as wide as one token.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].

    Reference: Kim et al., Hadamard product for low-rank bilinear pooling, ICLR 2017; here over all pairs
    of M phases.
    """

    def __init__(self, num_tokens: int, in_dim: int, rank: int = 16, hidden: int | None = None) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        self.first: Tensor
        self.second: Tensor
        pairs = torch.triu_indices(num_tokens, num_tokens, offset=1)
        self.register_buffer("first", pairs[0], persistent=False)
        self.register_buffer("second", pairs[1], persistent=False)
        projections = [nn.Linear(in_dim, rank, bias=False) for _ in range(num_tokens)]
        for projection in projections:
            nn.init.normal_(projection.weight, std=in_dim**-0.5)  # u on the scale of the tokens
        self.project = nn.ModuleList(projections)
        self.mix = nn.Linear(num_tokens * (in_dim + 1) + pairs.shape[1] * rank, self.out_dim)  # W and all P

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        projected: list[Tensor] = []
        for m, projection in enumerate(self.project):
            projected.append(projection(tokens[:, m]))
        u = torch.stack(projected, dim=1)
        pairs = u.index_select(1, self.first) * u.index_select(1, self.second)
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype), pairs.flatten(1)], dim=1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(joined)), aux
