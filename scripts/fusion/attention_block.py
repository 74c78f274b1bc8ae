"""Attention with its residual connections: the block of every attention strategy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.fusion.multihead import MaskedMultiHeadAttention


class AttentionBlock(nn.Module):
    """Lets tokens collect from others by attention, then transforms each by itself.

    h   = x + attention(queries, keys)
    out = h + W_2 gelu(W_1 layer_norm(h) + b_1) + b_2;  out = x, unchanged, where no key is visible

    Args:
        dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction dropped of the attention and of the feed-forward layer while training.
        zero_slot: let queries turn away from all keys, see `MaskedMultiHeadAttention`.

    Shape: x and queries [B, Q, C], keys [B, K, C], visible [B, Q, K] -> out [B, Q, C] and attention
        [B, H, Q, K].

    Reference: Vaswani et al., Attention is all you need, NeurIPS 2017, with the norm inside the residual path
    as in Xiong et al., On layer normalization in the transformer architecture, ICML 2020.
    """

    def __init__(
        self, dim: int, num_heads: int, hidden: int | None, dropout: float, zero_slot: bool = False
    ) -> None:
        super().__init__()
        hidden = hidden or 2 * dim
        self.attention = MaskedMultiHeadAttention(dim, num_heads, dropout, zero_slot)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
        )

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Collect and transform."""
        collected, attention = self.attention(queries, keys, visible)
        h = x + collected
        out = h + self.feed_forward(h)
        return torch.where(visible.any(dim=2, keepdim=True), out, x), attention
