# SPDX-License-Identifier: Apache-2.0
"""Fusion of tokens by attention: phases attend to each other, or one class token attends to all phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.attention_layers import AttentionBlock, PhaseEmbedding
from scripts.networks.fusion.base import TokenFusion, zero_absent
from scripts.networks.fusion.tokens import mean_over_present
from torch import Tensor, nn


class Attention(TokenFusion):
    """Lets one learned class token attend to all phases, with several heads.

    z_m   = layer_norm(f_m) + e_m                              e_m learned per phase
    h     = c + attention(layer_norm(c), [z_m, present m])     c learned, the class token
    fused = h + feed_forward(layer_norm(h));  c when no token is present

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction of the attention and of the feed-forward layer dropped in training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``attention`` [B, H, M] of every head, and
        ``weights`` [B, M], its mean over the heads.

    Reference: Lee et al., Set transformer, ICML 2019, section 3.2 (pooling by attention), with a class token
    as in Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, num_heads: int = 4, hidden: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.phase_embedding = PhaseEmbedding(num_tokens, in_dim)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, in_dim))
        self.norm = nn.LayerNorm(in_dim)
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.phase_embedding(zero_absent(tokens, present))
        x = self.class_token.expand(tokens.shape[0], -1, -1)
        fused, attention = self.block(x, self.norm(x), z, present.unsqueeze(1))
        attention = attention.squeeze(2)
        return fused.squeeze(1), {"attention": attention, "weights": attention.mean(dim=1)}


class SelfAttention(TokenFusion):
    """Lets every phase attend to all phases, itself included, and averages the results.

    z_m   = layer_norm(f_m) + e_m                              e_m learned per phase
    h_m   = z_m + attention(z_m, [z_n, present n])
    fused = mean over present m of h_m + feed_forward(layer_norm(h_m));  0 when none is present

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction of the attention and of the feed-forward layer dropped in training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``attention`` [B, H, M, M]: head, the phase that
        attends, the phase attended to; 0 where either is absent.

    Reference: Vaswani et al., Attention is all you need, NeurIPS 2017.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, num_heads: int = 4, hidden: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.phase_embedding = PhaseEmbedding(num_tokens, in_dim)
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = self.phase_embedding(zero_absent(tokens, present))
        visible = present.unsqueeze(1) & present.unsqueeze(2)
        out, attention = self.block(z, z, z, visible)
        return mean_over_present(out, present), {"attention": attention}


class CrossAttention(TokenFusion):
    """Lets every phase gather from the other phases what it lacks, if anything, and keeps the phases separate.

    z_m   = layer_norm(f_m) + e_m                                     e_m learned per phase
    h_m   = f_m + attention(z_m, [z_n, present n other than m; 0])
    y_m   = h_m + feed_forward(layer_norm(h_m));  f_m, unchanged, when no other phase is present
    fused = [y_1, ..., y_M], 0 where absent

    With two phases, a softmax over the single other phase is always 1, and queries and keys would never learn.
    Each phase therefore also sees a slot of zeros, whose score is 0: attention_mn = exp(s_mn) / (1 + sum over
    others of exp(s_mk)). These sum to less than 1; the phase keeps the rest to itself.

    Args:
        num_tokens: M; with one token the strategy is the identity.
        in_dim: C.
        num_heads: H, heads of the attention.
        hidden: width of the feed-forward layer; None: 2 C.
        dropout: fraction of the attention and of the feed-forward layer dropped in training.

    Shape: tokens [B, M, C], present [B, M] -> [B, M C] with ``attention`` [B, H, M, M]: head, the phase that
        attends, the phase attended to; 0 on the diagonal and where either is absent.

    Reference: Tsai et al., Multimodal transformer for unaligned multimodal language sequences, ACL 2019, with
    the zero slot of Xiao et al., Efficient streaming language models with attention sinks, ICLR 2024, eq. 2.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, num_heads: int = 4, hidden: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__(num_tokens, in_dim, out_dim=num_tokens * in_dim)
        self.phase_embedding = PhaseEmbedding(num_tokens, in_dim)
        self.block = AttentionBlock(in_dim, num_heads, hidden, dropout, zero_slot=True)
        self.others = nn.Buffer(~torch.eye(num_tokens, dtype=torch.bool), persistent=False)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = zero_absent(tokens, present)
        z = self.phase_embedding(tokens)
        visible = present.unsqueeze(1) & present.unsqueeze(2) & self.others
        out, attention = self.block(tokens, z, z, visible)
        return out.flatten(1), {"attention": attention}  # an absent token sees no key and stays 0


class FusedAttention(TokenFusion):
    """Combines self-attention, cross-attention, and the products of the phases feature by feature.

    s     = self_attention(f), see `SelfAttention`                   [C]
    c     = cross_attention(f), see `CrossAttention`                 [M C]
    p     = product over present m of (1 + U_m layer_norm(f_m))      [C], feature by feature
    fused = relu(W [layer_norm(s), layer_norm(c), layer_norm(p)] + b)

    The 1 keeps the products of fewer phases as well, and leaves out a phase that is absent. The norms give all
    three paths the same influence at the start.

    Args:
        num_tokens: M.
        in_dim: C.
        num_heads: H, heads of both attentions.
        hidden: width of the feed-forward layers of both attentions; None: 2 C.
        dropout: fraction of the attention and of the feed-forward layers dropped in training.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``self_attention`` and ``cross_attention``
        [B, H, M, M]: head, the phase that attends, the phase attended to.

    Reference: for the products Liu et al., Efficient low-rank multimodal fusion with modality-specific
    factors, ACL 2018.
    """

    def __init__(
        self, num_tokens: int, in_dim: int, num_heads: int = 4, hidden: int | None = None, dropout: float = 0.0
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
        together, self_aux = self.self_attention(tokens, present)
        lacking, cross_aux = self.cross_attention(tokens, present)
        paths = [together, lacking, self.product(tokens, present)]
        normed: list[Tensor] = []
        for i, norm in enumerate(self.path_norms):
            normed.append(norm(paths[i]))
        fused = self.join(torch.cat(normed, dim=1)).relu()
        return fused, {"self_attention": self_aux["attention"], "cross_attention": cross_aux["attention"]}

    def product(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Multiply the present phases feature by feature: tokens [B, M, C], present [B, M] -> [B, C]."""
        normed = self.token_norm(zero_absent(tokens, present))
        factors: list[Tensor] = []
        for m, factor in enumerate(self.factors):
            factors.append(factor(normed[:, m]))
        return (1 + zero_absent(torch.stack(factors, dim=1), present)).prod(dim=1)
