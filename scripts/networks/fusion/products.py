# SPDX-License-Identifier: Apache-2.0
"""Fusion of tokens by products of their features, which capture interactions between phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.base import TokenFusion, zero_absent
from torch import Tensor, nn
from torch.nn import functional


class Bilinear(TokenFusion):
    """Multiplies the features of every two phases, in addition to plain concatenation.

    u_m   = U_m f_m                                                       `rank` features of phase m
    fused = relu(W [f_1, ..., f_M, s_1, ..., s_M] + sum over pairs m < n of P_mn (u_m * u_n) + b)

    with s_m = 1 where token m is present. Every fused feature is thus a linear form (the skip path) plus a
    bilinear form f_m' B_mn f_n of rank at most `rank` for every pair. u has no bias, so that an absent phase has
    u_m = 0 and adds nothing to its pairs. A single phase has no pair, and the strategy is a plain layer.

    Args:
        num_tokens: M.
        in_dim: C.
        rank: width of u, the highest rank of each bilinear form.
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
        tokens = zero_absent(tokens, present)
        projected: list[Tensor] = []
        for m, projection in enumerate(self.project):
            projected.append(projection(tokens[:, m]))
        u = torch.stack(projected, dim=1)
        pairs = u.index_select(1, self.first) * u.index_select(1, self.second)
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype), pairs.flatten(1)], dim=1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(joined)), aux


MAX_ENTRIES = 100_000


def largest_width(num_tokens: int, limit: int = 8) -> int:
    """Return the largest r up to `limit` whose outer product has (r + 1)^M <= 100000 entries; 0: none.

    >>> [largest_width(m) for m in (1, 5, 6, 7, 8, 20)]
    [8, 8, 5, 4, 3, 0]
    """
    return max((r for r in range(1, limit + 1) if (r + 1) ** num_tokens <= MAX_ENTRIES), default=0)


class Kronecker(TokenFusion):
    """Multiplies every feature of every phase by those of the others, in every combination of phases.

    z_m   = tanh(W_m f_m + b_m) / sqrt(r)                                 r features of phase m, |z_m| <= 1
    fused = relu(W ([1; z_1] ⊗ ... ⊗ [1; z_M]) + b)

    The 1 keeps the products over fewer phases, down to each phase alone. An absent phase enters as [1; 0],
    which leaves the product over the others. The norm of the product lies between 1 and 2^(M/2), so W can
    start from a standard normal distribution for every M.

    It has (r + 1)^M entries: 729 for three phases (r = 8), 65536 for eight (r = 3). `kronecker_compact` stays small.

    Args:
        num_tokens: M.
        in_dim: C.
        width: r; None: the largest up to 8 for which the product has at most 100000 entries.
        hidden: F, width of the fused vector; None: as wide as one token.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].

    Raises:
        ValueError: the product has more than 100000 entries.

    Reference: Zadeh et al., Tensor fusion network, EMNLP 2017; Chen et al., Pathomic fusion, IEEE TMI
    2022.
    """

    def __init__(self, num_tokens: int, in_dim: int, width: int | None = None, hidden: int | None = None) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        largest = largest_width(num_tokens)
        r = width or max(largest, 1)
        entries = (r + 1) ** num_tokens
        if entries > MAX_ENTRIES:
            remedy = f"a smaller `width` (at most {largest}) or " if largest else ""
            raise ValueError(
                f"the Kronecker product needs (r + 1)^M <= {MAX_ENTRIES} entries, found M = {num_tokens} "
                f"phases of width r = {r}: {entries}; use {remedy}the strategy kronecker_compact"
            )
        self.scale = r**-0.5
        self.project = nn.ModuleList(nn.Linear(in_dim, r) for _ in range(num_tokens))
        self.mix = nn.Linear(entries, self.out_dim)
        nn.init.normal_(self.mix.weight)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = zero_absent(tokens, present)
        product = torch.ones_like(tokens[:, 0, :1])
        for m, projection in enumerate(self.project):
            z = torch.tanh(projection(tokens[:, m])) * self.scale
            factor = torch.cat([torch.ones_like(z[:, :1]), zero_absent(z, present[:, m])], dim=1)
            product = (product.unsqueeze(2) * factor.unsqueeze(1)).flatten(1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(product)), aux


class LowRankTensor(TokenFusion):
    """Applies a weight tensor of low rank to the outer product of all phases, without forming either.

    z_m     = [layer_norm(f_m); 1],  and [0; 1] for an absent phase
    fused_k = b_k + sum over i of a_i prod over m of <w_mik, z_m>          i = 1 ... rank

    which is the full tensor product <T_k, z_1 ⊗ ... ⊗ z_M> with T_k = sum_i a_i w_1ik ⊗ ... ⊗ w_Mik. The cost
    grows linearly with M. The constant 1 in z_m keeps the products over fewer phases.

    A product over many phases must neither explode nor vanish. w starts with variance 1 / (M C) for the
    features and a random sign for the constant, so that every factor is ±1 plus noise of variance 1 / M, and
    the mean square of the product is (1 + 1/M)^M < e, or exactly 1 if nothing is present.

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
        # w, [M rank, C + 1, F]: `Module.to` with channels_last_3d fails on parameters of four dimensions
        self.factors = nn.Parameter(factors.flatten(0, 1))
        self.rank_weights = nn.Parameter(torch.full((rank,), rank**-0.5))  # a
        self.bias = nn.Parameter(torch.zeros(self.out_dim))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = functional.layer_norm(zero_absent(tokens, present), [self.in_dim])  # absent tokens stay 0
        z = torch.cat([tokens, torch.ones_like(tokens[:, :, :1])], dim=2)
        weights = self.factors.reshape(self.num_tokens, -1, self.in_dim + 1, self.out_dim)
        factors = torch.einsum("bmc,mrco->bmro", z, weights)
        product = factors[:, 0]
        for m in range(1, self.num_tokens):
            product = product * factors[:, m]
        aux: dict[str, Tensor] = {}
        return torch.einsum("bro,r->bo", product, self.rank_weights) + self.bias, aux
