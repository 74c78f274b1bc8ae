# SPDX-License-Identifier: Apache-2.0
"""Multi-head attention over tokens, some of which may be absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedMultiHeadAttention(nn.Module):
    """Multi-head attention that returns every head and stays finite where a query sees no key.

    A_h = softmax over visible keys of (W_q^h x + b_q^h) . (W_k^h y) / sqrt(width of a head)
    out = W_o [sum_k A_1k W_v^1 y_k, ..., sum_k A_Hk W_v^H y_k] + b_o;  0 where no key is visible

    Keys have no bias: it would add the same number to all scores of a query, which softmax ignores, and so
    would never learn. Values have none either, since the bias of the output has the same effect.

    With `zero_slot` every query may also attend to an extra key and value of zeros, whose score is 0:
    A_k = exp(s_k) / (1 + sum_j exp(s_j)). A query can then ignore all keys, and query and key learn even where
    only one key is visible, which otherwise would always get the weight 1.

    Args:
        dim: C, width of queries, keys and output.
        num_heads: H. Heads have the width C / H, rounded up where H does not divide C.
        dropout: fraction of the attention dropped in training.
        zero_slot: let queries ignore all keys.

    Raises:
        ValueError: fewer than one head.

    Shape: queries [B, Q, C], keys [B, K, C], visible [B, Q, K] bool -> out [B, Q, C] and attention
        [B, H, Q, K], which is 0 where not visible and sums to 1 over k (to less than 1 with `zero_slot`).

    Reference: Vaswani et al., Attention is all you need, NeurIPS 2017, eq. 1; for `zero_slot` Xiao et al.,
    Efficient streaming language models with attention sinks, ICLR 2024, eq. 2.
    """

    def __init__(self, dim: int, num_heads: int = 4, dropout: float = 0.0, zero_slot: bool = False) -> None:
        super().__init__()
        if num_heads < 1:
            raise ValueError(f"num_heads must be at least 1, found {num_heads}; 4 is the default")
        self.num_heads = num_heads
        self.head_dim = -(-dim // num_heads)
        self.zero_slot = zero_slot
        width = num_heads * self.head_dim
        self.query = nn.Linear(dim, width)
        self.key = nn.Linear(dim, width, bias=False)
        self.value = nn.Linear(dim, width, bias=False)
        self.out = nn.Linear(width, dim)
        self.dropout = nn.Dropout(dropout)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)

    def forward(self, queries: Tensor, keys: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        query = self._heads(self.query(queries))
        key, value = self._heads(self.key(keys)), self._heads(self.value(keys))
        scores = query @ key.transpose(2, 3) * self.head_dim**-0.5
        seen = visible.unsqueeze(1)
        # -1e9, not -inf: a query that sees no key would give NaN, also in gradients
        scores = torch.where(seen, scores, torch.full_like(scores, -1e9))
        if self.zero_slot:
            scores = torch.cat([scores, torch.zeros_like(scores[..., :1])], dim=3)
        attention = scores.softmax(dim=3)[..., : keys.shape[1]]
        attention = torch.where(seen, attention, torch.zeros_like(attention))
        out = self.out((self.dropout(attention) @ value).transpose(1, 2).flatten(2))
        return torch.where(visible.any(dim=2, keepdim=True), out, torch.zeros_like(out)), attention

    def _heads(self, projected: Tensor) -> Tensor:
        """Split the heads: [B, N, H * width] -> [B, H, N, width]."""
        return projected.reshape(projected.shape[0], projected.shape[1], self.num_heads, self.head_dim).transpose(1, 2)


class AttentionBlock(nn.Module):
    """Lets tokens gather information from others by attention, then transforms each by itself.

    h   = x + attention(queries, keys)
    out = h + W_2 gelu(W_1 layer_norm(h) + b_1) + b_2;  out = x, unchanged, where no key is visible

    Args:
        dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction of the attention and of the feed-forward layer dropped in training.
        zero_slot: let queries ignore all keys, see `MaskedMultiHeadAttention`.

    Shape: x and queries [B, Q, C], keys [B, K, C], visible [B, Q, K] -> out [B, Q, C] and attention
        [B, H, Q, K].

    Reference: Vaswani et al., Attention is all you need, NeurIPS 2017, with the norm inside the residual path
    as in Xiong et al., On layer normalization in the transformer architecture, ICML 2020.
    """

    def __init__(self, dim: int, num_heads: int, hidden: int | None, dropout: float, zero_slot: bool = False) -> None:
        super().__init__()
        hidden = hidden or 2 * dim
        self.attention = MaskedMultiHeadAttention(dim, num_heads, dropout, zero_slot)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor, queries: Tensor, keys: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to the keys, then transform each token."""
        collected, attention = self.attention(queries, keys, visible)
        h = x + collected
        out = h + self.feed_forward(h)
        return torch.where(visible.any(dim=2, keepdim=True), out, x), attention


class PhaseEmbedding(nn.Module):
    """Normalises tokens and adds a learned embedding of their phase, since attention treats its keys as a set.

    z_m = layer_norm(f_m) + e_m        e_m learned, drawn from N(0, 1), the scale of a normalised token

    Args:
        num_tokens: M.
        dim: C.

    Shape: tokens [B, M, C] -> [B, M, C].
    """

    def __init__(self, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.embedding = nn.Parameter(torch.randn(num_tokens, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise the tokens and add the embedding of their phase."""
        return self.norm(tokens) + self.embedding
