"""A transformer layer over the phases."""

from __future__ import annotations

from torch import Tensor

from scripts.networks.fusion.attention_layers import AttentionBlock, PhaseEmbedding
from scripts.networks.fusion.base import TokenFusion, zero_absent
from scripts.networks.fusion.mean import mean_over_present


class SelfAttention(TokenFusion):
    """Lets every phase look at all phases, itself included, and averages the results.

    z_m   = layer_norm(f_m) + e_m                              e_m learned per phase
    h_m   = z_m + attention(z_m, [z_n, present n])
    fused = mean over present m of h_m + feed_forward(layer_norm(h_m));  0 when none is present

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction dropped of the attention and of the feed-forward layer while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``attention`` [B, H, M, M]: head, the phase that
        looks, the phase looked at; 0 where either is absent.

    Reference: Vaswani et al., Attention is all you need, NeurIPS 2017.
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
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        z = self.phase_embedding(zero_absent(tokens, present))
        visible = present.unsqueeze(1) & present.unsqueeze(2)
        out, attention = self.block(z, z, z, visible)
        return mean_over_present(out, present), {"attention": attention}
