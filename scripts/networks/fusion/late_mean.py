"""Late fusion by the mean probability."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.networks.fusion.base import DecisionFusion, log_mixture, softmax_over_present


class LateMean(DecisionFusion):
    """Averages the probabilities that the present phases give.

    logits = log (1/n sum over present p of softmax(phase_logits_p))

    The mean of probabilities, not of logits: a phase that is very sure does not outvote the others. Two
    phases that say 0.98 and 0.28 give 0.63; the mean of their logits would give 0.81.

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K] with ``weights`` [B, P], 1/n where present.

    Reference: Kittler et al., On combining classifiers, IEEE TPAMI 1998.
    """

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine."""
        scores = torch.zeros_like(phase_logits[:, :, 0])
        weights = softmax_over_present(scores, present)
        return log_mixture(phase_logits, scores, present), {"weights": weights}
