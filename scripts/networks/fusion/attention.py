"""A class token that attends to the phases."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.attention_layers import AttentionBlock, PhaseEmbedding
from scripts.networks.fusion.base import TokenFusion, zero_absent


class Attention(TokenFusion):
    """Lets one learned class token ask all phases, with several heads, and returns what it gathered.

    z_m   = layer_norm(f_m) + e_m                              e_m learned per phase
    h     = c + attention(layer_norm(c), [z_m, present m])     c learned, the class token
    fused = h + feed_forward(layer_norm(h));  c when no token is present

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction dropped of the attention and of the feed-forward layer while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``attention`` [B, H, M] of every head, and
        ``weights`` [B, M], its mean over the heads.

    Reference: Lee et al., Set transformer, ICML 2019, section 3.2 (pooling by attention), with a class token
    as in Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021.
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
        self.phase_embedding = PhaseEmbedding(num_tokens, in_dim)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, in_dim))
        self.norm = nn.LayerNorm(in_dim)
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        z = self.phase_embedding(zero_absent(tokens, present))
        x = self.class_token.expand(tokens.shape[0], -1, -1)
        fused, attention = self.block(x, self.norm(x), z, present.unsqueeze(1))
        attention = attention.squeeze(2)
        return fused.squeeze(1), {"attention": attention, "weights": attention.mean(dim=1)}
