# SPDX-License-Identifier: Apache-2.0
"""Fusion of tokens: concatenation, maximum, mean, or weights over the phases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scripts.networks.fusion.base import TokenFusion, softmax_over_present, zero_absent
from torch import Tensor, nn
from torch.nn import functional


class Concat(TokenFusion):
    """Concatenates the tokens and mixes them in one hidden layer.

    fused = dropout(relu(W [f_1, ..., f_M, s_1, ..., s_M] + b)), with s_m = 1 where token m is present and
    f_m = 0 where it is not, which distinguishes "absent" from "present but empty".

    Args:
        num_tokens: M.
        in_dim: C.
        hidden: F, width of the hidden layer; None: as wide as one token.
        dropout: fraction of the hidden layer dropped while training.

    Shape: tokens [B, M, C], present [B, M] -> [B, hidden].
    """

    def __init__(self, num_tokens: int, in_dim: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__(num_tokens, in_dim, out_dim=hidden or in_dim)
        self.mix = nn.Linear(num_tokens * (in_dim + 1), self.out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = zero_absent(tokens, present)
        joined = torch.cat([tokens.flatten(1), present.to(tokens.dtype)], dim=1)
        aux: dict[str, Tensor] = {}
        return self.dropout(torch.relu(self.mix(joined))), aux


class SideBySide(TokenFusion):
    """Concatenates the tokens, each value mapped to between 0 and 1; the next layer weights them.

    fused = [sigmoid(f_1), ..., sigmoid(f_M)], 0 where a token is absent

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, M C].
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=num_tokens * in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        aux: dict[str, Tensor] = {}
        return zero_absent(zero_absent(tokens, present).sigmoid(), present).flatten(1), aux


class Max(TokenFusion):
    """Takes every feature from the present token where it is largest.

    fused_c = max over present m of f_mc; 0 when none is present

    It has no weights, works with any number of tokens and ignores which phase a token comes from.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, C].

    Reference: Su et al., Multi-view convolutional neural networks for 3D shape recognition, ICCV 2015 (view
    pooling).
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        lowest = torch.full_like(tokens, -float("inf"))
        largest = torch.where(present.unsqueeze(2), tokens, lowest).amax(dim=1)
        aux: dict[str, Tensor] = {}
        return torch.where(present.any(dim=1, keepdim=True), largest, torch.zeros_like(largest)), aux


class Mean(TokenFusion):
    """Averages the present tokens, each after a layer of its own phase.

    h_m   = relu(W_m f_m + b_m)
    fused = sum over present m of h_m / number of present tokens; 0 when none is present

    The layers distinguish the phases: after an encoder that all phases share, the mean of plain tokens stays
    the same if arterial and portal images are swapped.

    Args:
        num_tokens: M.
        in_dim: C.
        phase_layers: False averages the tokens as they are, h_m = f_m: no weights.

    Shape: tokens [B, M, C], present [B, M] -> [B, C].

    Reference: Havaei et al., HeMIS: hetero-modal image segmentation, MICCAI 2016 (back ends of modalities,
    and the first moment over them).
    """

    def __init__(self, num_tokens: int, in_dim: int, phase_layers: bool = True) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(in_dim, in_dim), nn.ReLU()) if phase_layers else nn.Identity()
            for _ in range(num_tokens)
        )

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = zero_absent(tokens, present)
        said: list[Tensor] = []
        for m, layer in enumerate(self.layers):
            said.append(layer(tokens[:, m]))
        aux: dict[str, Tensor] = {}
        return mean_over_present(torch.stack(said, dim=1), present), aux


def mean_over_present(tokens: Tensor, present: Tensor) -> Tensor:
    """Average the present tokens [B, M, C] of every case: [B, C], 0 for a case without any.

    >>> import torch
    >>> mean_over_present(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.tensor([[True, False, True]]))
    tensor([[3.5000]])
    """
    count = present.sum(dim=1, keepdim=True).clamp_min(1)
    return zero_absent(tokens, present).sum(dim=1) / count


class WeightedSum(TokenFusion):
    """Adds the tokens with one learned weight per phase, the same in every case.

    w     = softmax over present m of s_m       s_m learned; equal at the start
    fused = sum over m of w_m f_m

    In a case with absent phases, the weights of the others are scaled to sum to 1.

    Args:
        num_tokens: M.
        in_dim: C.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] and ``weights`` = w [B, M].

    Reference: Peters et al., Deep contextualized word representations, NAACL 2018, eq. 1 (scalar mix).
    """

    def __init__(self, num_tokens: int, in_dim: int) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        self.scores = nn.Parameter(torch.zeros(num_tokens))

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        weights = softmax_over_present(self.scores.expand(present.shape), present)
        fused = (weights.unsqueeze(2) * zero_absent(tokens, present)).sum(dim=1)
        return fused, {"weights": weights}


class Gated(TokenFusion):
    """Weights the phases by a learned prior shared by all cases, and by gates computed from each case.

    h_m       = tanh(W_m f_m + b_m)                      projected token of phase m
    gate_m    = sigmoid(v_m . [f_1, ..., f_M])           gate of phase m in this case; v_m = 0 at the start
    weights_m = w_m gate_m / sum over present n of w_n gate_n
    fused     = sum over present m of weights_m h_m

    All gates start at 1/2 and cancel, so that before training the weights of a case are exactly
    `initial_weights`, scaled to sum to 1 over its present phases.

    Args:
        num_tokens: M.
        in_dim: C.
        initial_weights: w at the start, M positive numbers; only their ratios count. None: equal.

    Shape: tokens [B, M, C], present [B, M] -> [B, C] with ``weights`` [B, M] and ``gates`` [B, M] in (0, 1),
        both 0 where absent.

    Raises:
        ValueError: unless `initial_weights` are M positive numbers.

    Reference: Arevalo et al., Gated multimodal units for information fusion, ICLR workshop 2017, here with
    one gate per phase in place of one per feature, and with a prior.

    >>> Gated(num_tokens=2, in_dim=8, initial_weights=[0.3, 0.7]).get_phase_weights()
    tensor([0.3000, 0.7000])
    """

    def __init__(self, num_tokens: int, in_dim: int, initial_weights: Sequence[float] | None = None) -> None:
        super().__init__(num_tokens, in_dim, out_dim=in_dim)
        initial = [1.0] * num_tokens if initial_weights is None else list(initial_weights)
        if len(initial) != num_tokens or not all(0 < weight < float("inf") for weight in initial):
            raise ValueError(
                f"initial_weights must be {num_tokens} positive numbers, one per token: each phase (view by "
                "view where there are views), then the clinical table where there is one; found "
                f"{initial}; correct them or leave them out for equal weights"
            )
        self.log_weights = nn.Parameter(torch.tensor(initial).log())
        self.projections = nn.ModuleList(nn.Linear(in_dim, in_dim) for _ in range(num_tokens))
        self.gate = nn.Linear(num_tokens * in_dim, num_tokens, bias=False)  # log_weights are its bias
        nn.init.zeros_(self.gate.weight)

    def get_phase_weights(self) -> Tensor:
        """Return the prior weights w of the phases: [M], detached, summing to 1."""
        return self.log_weights.detach().softmax(dim=0)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = zero_absent(tokens, present)
        score = self.gate(tokens.flatten(1))
        # w_m gate_m, normalised: products of weights are sums of logarithms, which a softmax normalises
        weights = softmax_over_present(self.log_weights + functional.logsigmoid(score), present)
        said: list[Tensor] = []
        for m, projection in enumerate(self.projections):
            said.append(projection(tokens[:, m]).tanh())
        fused = (weights.unsqueeze(2) * torch.stack(said, dim=1)).sum(dim=1)
        gates = torch.where(present, score.sigmoid(), torch.zeros_like(score))
        return fused, {"weights": weights, "gates": gates}


class Abaf(TokenFusion):
    """Weights the features of every phase by attention to all phases, and every phase as a whole.

    alpha_m = sigmoid(W_m [f_1, ..., f_M] + b_m)                attention to each feature of phase m
    beta_m  = softmax over present m of mean(alpha_m * f_m)     weight of phase m in this case
    fused   = [M beta_1 alpha_1 * f_1, ..., M beta_M alpha_M * f_M]

    The factor M keeps the scale: with equal weights, fused is alpha_m * f_m. The same beta weights the losses
    of the single phases in `scripts.losses.AdaptiveDeepSupervision`. Everything is computed within one case.

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
        tokens = zero_absent(tokens, present)
        alpha = self.gate(tokens.flatten(1)).sigmoid().reshape(tokens.shape)
        attended = alpha * tokens
        beta = softmax_over_present(attended.mean(dim=2), present)
        fused = (self.num_tokens * beta.unsqueeze(2) * attended).flatten(1)
        return fused, {"weights": beta}
