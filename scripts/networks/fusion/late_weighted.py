"""Late fusion by a learned weighted mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import DecisionFusion, log_mixture, softmax_over_present


class LateWeighted(DecisionFusion):
    """Averages the probabilities of the present phases, each with a weight that is learned.

    w      = softmax over present p of v_p                 one learned score v_p per phase, first all equal
    logits = log (sum over present p of w_p softmax(phase_logits_p))

    The scores do not depend on the case, so that the weights read as how much each phase counts; only the
    phases at hand share them out.

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K] and ``weights`` [B, P].

    Reference: linear opinion pool; Jacobs, Methods for combining experts' probability assessments, Neural
    Computation 1995.
    """

    def __init__(self, num_phases: int, num_classes: int) -> None:
        super().__init__(num_phases, num_classes)
        self.scores = nn.Parameter(torch.zeros(num_phases))

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine."""
        scores = self.scores.expand(present.shape)
        weights = softmax_over_present(scores, present)
        return log_mixture(phase_logits, scores, present), {"weights": weights}
