"""Low-rank multimodal fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.networks.fusion.base import TokenFusion, zero_absent


class LowRankTensor(TokenFusion):
    """Applies to the outer product of all phases a weight tensor of low rank, without forming either.

    z_m     = [layer_norm(f_m); 1],  and [0; 1] for an absent phase
    fused_k = b_k + sum over i of a_i prod over m of <w_mik, z_m>          i = 1 ... rank

    which is the full tensor product <T_k, z_1 ⊗ ... ⊗ z_M> with T_k = sum_i a_i w_1ik ⊗ ... ⊗ w_Mik. The cost
    grows linearly with M. The constant of z_m keeps the products over fewer phases.

    A product over many phases must neither explode nor vanish: w starts with variance 1 / (M C) for the
    features and with a random sign for the constant, so that every factor is ±1 plus noise of variance 1 / M,
    and the product has a mean square of (1 + 1/M)^M < e, or exactly 1 when nothing is present.

    Args:
        num_tokens: M.
        in_dim: C.
        rank: terms of the sum.
        hidden: F, width of the fused vector; None: as wide as one token.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].

    Reference: Liu et al., Efficient low-rank multimodal fusion with modality-specific factors, ACL
    2018.
    """

    def __init__(self, num_tokens: int, in_dim: int, rank: int = 4, hidden: int | None = None) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        factors = torch.randn(num_tokens, rank, in_dim + 1, self.out_dim) * (num_tokens * in_dim) ** -0.5
        factors[:, :, -1] = factors[:, :, -1].sign()
        # w, [M rank, C + 1, F]: channels-last conversion of a network takes no parameter of four dimensions
        self.factors = nn.Parameter(factors.flatten(0, 1))
        self.rank_weights = nn.Parameter(torch.full((rank,), rank**-0.5))  # a
        self.bias = nn.Parameter(torch.zeros(self.out_dim))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = functional.layer_norm(zero_absent(tokens, present), [self.in_dim])  # an absent one stays 0
        z = torch.cat([tokens, torch.ones_like(tokens[:, :, :1])], dim=2)
        weights = self.factors.reshape(self.num_tokens, -1, self.in_dim + 1, self.out_dim)
        factors = torch.einsum("bmc,mrco->bmro", z, weights)
        product = factors[:, 0]
        for m in range(1, self.num_tokens):
            product = product * factors[:, m]
        aux: dict[str, Tensor] = {}
        return torch.einsum("bro,r->bo", product, self.rank_weights) + self.bias, aux
