"""Attention-guided adaptive fusion."""

from __future__ import annotations

from torch import Tensor, nn

from scripts.networks.fusion.base import TokenFusion, softmax_over_present, zero_absent


class Abaf(TokenFusion):
    """Weights the features of every phase by what all phases show together, and every phase as a whole.

    alpha_m = sigmoid(W_m [f_1, ..., f_M] + b_m)                attention to each feature of phase m
    beta_m  = softmax over present m of mean(alpha_m * f_m)     weight of phase m in this case
    fused   = [M beta_1 alpha_1 * f_1, ..., M beta_M alpha_M * f_M]

    The factor M keeps the scale: with equal weights, fused is alpha_m * f_m. The same beta weighs the losses
    of the single phases in `scripts.losses.AdaptiveDeepSupervision`. All of it is computed within one case.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, M C] and ``weights`` = beta [B, M].

    Reference: attention-guided adaptive feature concatenation, IEEE JBHI 2022, doi 10.1109/JBHI.2022.3161466.
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=num_tokens * in_dim)
        self.gate = nn.Linear(num_tokens * in_dim, num_tokens * in_dim)  # the rows of W_1, ..., W_M stacked

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        alpha = self.gate(tokens.flatten(1)).sigmoid().reshape(tokens.shape)
        attended = alpha * tokens
        beta = softmax_over_present(attended.mean(dim=2), present)
        fused = (self.num_tokens * beta.unsqueeze(2) * attended).flatten(1)
        return fused, {"weights": beta}
