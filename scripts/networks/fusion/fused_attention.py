"""Self-attention, cross-attention and products of phases, side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, zero_absent
from scripts.networks.fusion.cross_attention import CrossAttention
from scripts.networks.fusion.self_attention import SelfAttention


class FusedAttention(TokenFusion):
    """Joins three views of the phases: what they show together, what each lacks, and what must coincide.

    s     = self_attention(f), see `SelfAttention`                   [C]
    c     = cross_attention(f), see `CrossAttention`                 [M C]
    p     = product over present m of (1 + U_m layer_norm(f_m))      [C], feature by feature
    fused = relu(W [layer_norm(s), layer_norm(c), layer_norm(p)] + b)

    The 1 keeps the products of few phases beside those of all, and leaves out a phase that is absent. The
    norms give all three paths the same say at the start.

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of both attentions.
        hidden: width of the feed-forward layers of both attentions; None: 2 C.
        dropout: fraction dropped of the attention and of the feed-forward layers while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``self_attention`` and ``cross_attention``
        [B, H, M, M]: head, the phase that asks, the phase asked.

    Reference: for the products Liu et al., Efficient low-rank multimodal fusion with modality-specific
    factors, ACL 2018.
    """

    def __init__(
        self,
        num_tokens: int,
        in_dim: int,
        num_heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.self_attention = SelfAttention(num_tokens, in_dim, num_heads, hidden, dropout)
        self.cross_attention = CrossAttention(num_tokens, in_dim, num_heads, hidden, dropout)
        self.token_norm = nn.LayerNorm(in_dim)
        self.factors = nn.ModuleList(nn.Linear(in_dim, in_dim, bias=False) for _ in range(num_tokens))
        widths = (self.self_attention.out_dim, self.cross_attention.out_dim, in_dim)
        self.path_norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.join = nn.Linear(sum(widths), in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        together, self_aux = self.self_attention(tokens, present)
        lacking, cross_aux = self.cross_attention(tokens, present)
        paths = [together, lacking, self.product(tokens, present)]
        normed: list[Tensor] = []
        for i, norm in enumerate(self.path_norms):
            normed.append(norm(paths[i]))
        fused = self.join(torch.cat(normed, dim=1)).relu()
        return fused, {
            "self_attention": self_aux["attention"],
            "cross_attention": cross_aux["attention"],
        }

    def product(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Multiply the present phases feature by feature: tokens [B, M, C], present [B, M] -> [B, C]."""
        normed = self.token_norm(zero_absent(tokens, present))
        factors: list[Tensor] = []
        for m, factor in enumerate(self.factors):
            factors.append(factor(normed[:, m]))
        return (1 + zero_absent(torch.stack(factors, dim=1), present)).prod(dim=1)
