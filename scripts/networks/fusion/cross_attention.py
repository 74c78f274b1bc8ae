"""Every phase asks all others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.attention_layers import AttentionBlock, PhaseEmbedding
from scripts.networks.fusion.base import TokenFusion, zero_absent


class CrossAttention(TokenFusion):
    """Lets every phase collect from all other phases what it lacks, or nothing, and keeps the phases apart.

    z_m   = layer_norm(f_m) + e_m                                     e_m learned per phase
    h_m   = f_m + attention(z_m, [z_n, present n other than m; 0])
    y_m   = h_m + feed_forward(layer_norm(h_m));  f_m, unchanged, when no other phase is present
    fused = [y_1, ..., y_M], 0 where absent

    Between two phases a softmax over the one other phase is always 1, and its queries and keys never learn.
    Each phase therefore also sees a slot of zeros, whose score is 0: attention_mn = exp(s_mn) / (1 + sum over
    others of exp(s_mk)), which is less than 1 in sum; what is missing, the phase keeps to itself.

    Args:
        num_tokens: M; with one token the strategy is the identity.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction dropped of the attention and of the feed-forward layer while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, M C] with ``attention`` [B, H, M, M]: head, the phase that
        asks, the phase asked; 0 on the diagonal and where either is absent.

    Reference: Tsai et al., Multimodal transformer for unaligned multimodal language sequences, ACL 2019, with
    the zero slot of Xiao et al., Efficient streaming language models with attention sinks, ICLR 2024, eq. 2.
    """

    def __init__(
        self,
        num_tokens: int,
        in_dim: int,
        num_heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=num_tokens * in_dim)
        self.phase_embedding = PhaseEmbedding(num_tokens, in_dim)
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout, zero_slot=True)
        self.others = nn.Buffer(~torch.eye(num_tokens, dtype=torch.bool), persistent=False)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        z = self.phase_embedding(tokens)
        visible = present.unsqueeze(1) & present.unsqueeze(2) & self.others
        out, attention = self.block(tokens, z, z, visible)
        return out.flatten(1), {"attention": attention}  # what is absent sees nothing and stays 0
