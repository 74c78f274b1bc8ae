"""The full outer product of all phases."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, zero_absent

MAX_ENTRIES = 100_000


def largest_width(num_tokens: int, limit: int = 8) -> int:
    """Return the largest r up to `limit` whose outer product has (r + 1)^M <= 100000 entries; 0: none.

    >>> [largest_width(m) for m in (1, 5, 6, 7, 8, 20)]
    [8, 8, 5, 4, 3, 0]
    """
    return max((r for r in range(1, limit + 1) if (r + 1) ** num_tokens <= MAX_ENTRIES), default=0)


class Kronecker(TokenFusion):
    """Multiplies every feature of every phase with those of all others, in every combination of phases.

    z_m   = tanh(W_m f_m + b_m) / sqrt(r)                                 r features of phase m, |z_m| <= 1
    fused = relu(W ([1; z_1] ⊗ ... ⊗ [1; z_M]) + b)

    The 1 keeps the products over fewer phases, down to each phase alone. An absent phase enters as [1; 0]:
    what remains is the product over the others. The product has a norm between 1 and 2^(M/2), so that W
    starts from a standard normal distribution for every M.

    It has (r + 1)^M entries: 729 for three phases, 65536 for eight (r = 3). `kronecker_compact` stays small.

    Args:
        num_tokens: M.
        in_dim: C.
        width: r; None: the largest up to 8 for which the product has at most 100000 entries.
        hidden: F, width of the fused vector; None: as wide as one token.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].

    Raises:
        ValueError: when the product has more than 100000 entries.

    Reference: Zadeh et al., Tensor fusion network, EMNLP 2017; Chen et al., Pathomic fusion, IEEE TMI
    2022.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, width: int | None = None, hidden: int | None = None
    ) -> None:
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
        """Fuse."""
        tokens = zero_absent(tokens, present)
        product = torch.ones_like(tokens[:, 0, :1])
        for m, projection in enumerate(self.project):
            z = torch.tanh(projection(tokens[:, m])) * self.scale
            factor = torch.cat([torch.ones_like(z[:, :1]), zero_absent(z, present[:, m])], dim=1)
            product = (product.unsqueeze(2) * factor.unsqueeze(1)).flatten(1)
        aux: dict[str, Tensor] = {}
        return torch.relu(self.mix(product)), aux
