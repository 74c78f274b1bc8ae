"""Late fusion by the product of experts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.fusion.base import DecisionFusion, zero_absent


class LateProduct(DecisionFusion):
    """Multiplies the probabilities of the present phases, counting the class prior once.

    logits = log_softmax(sum over present p of log p_p - (n - 1) log pi),  p_p = softmax(phase_logits_p)

    with n present phases. This is Bayes' rule for phases that are independent given the class. It is the sum
    of the log-probabilities, not their mean, so that agreement of phases adds up: 0.9 and 0.9 give 0.99.
    (The mean of log-probabilities would be the softmax of the mean logits, whatever n.) Each p_p contains
    the class prior pi, which the bare product would count n times and so favour frequent classes;
    all but one are divided out. pi is learned, and uniform at first. One phase alone keeps its probability.

    Phases of one patient are never quite independent: where they say the same for the same reason, the
    product is too sure and `LateMean` is not.

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K].

    Reference: product rule; Kittler et al., On combining classifiers, IEEE TPAMI 1998; Hinton, Products of
    experts, ICANN 1999.
    """

    def __init__(self, num_phases: int, num_classes: int) -> None:
        super().__init__(num_phases, num_classes)
        self.log_prior = nn.Parameter(torch.zeros(num_classes))  # up to a constant

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine."""
        log_probability = zero_absent(phase_logits, present).log_softmax(dim=2)  # absent: uniform, no say
        repeated = (present.sum(dim=1, keepdim=True) - 1).clamp_min(0)
        logits = log_probability.sum(dim=1) - repeated * self.log_prior.log_softmax(dim=0)
        aux: dict[str, Tensor] = {}
        return logits.log_softmax(dim=1), aux
