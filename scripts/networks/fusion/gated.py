"""Gated fusion: a weight per phase and a gate per case."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.networks.fusion.base import TokenFusion, softmax_over_present, zero_absent


class Gated(TokenFusion):
    """Weighs the phases by a learned prior that holds for all cases, and by gates that each case sets itself.

    h_m       = tanh(W_m f_m + b_m)                      what phase m has to say
    gate_m    = sigmoid(v_m . [f_1, ..., f_M])           how far this case opens phase m; v_m = 0 at the start
    weights_m = w_m gate_m / sum over present n of w_n gate_n
    fused     = sum over present m of weights_m h_m

    All gates start half open and cancel, so that before any learning the weights of a case are exactly
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
        """Return w, the weights of the phases over all cases: [M], detached, with the sum 1."""
        return self.log_weights.detach().softmax(dim=0)

    def forward(self, tokens: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        tokens = zero_absent(tokens, present)
        score = self.gate(tokens.flatten(1))
        weights = softmax_over_present(self.log_weights + functional.logsigmoid(score), present)
        said: list[Tensor] = []
        for m, projection in enumerate(self.projections):
            said.append(projection(tokens[:, m]).tanh())
        fused = (weights.unsqueeze(2) * torch.stack(said, dim=1)).sum(dim=1)
        gates = torch.where(present, score.sigmoid(), torch.zeros_like(score))
        return fused, {"weights": weights, "gates": gates}
