# SPDX-License-Identifier: Apache-2.0
"""Fusion of decisions: combines the predictions of the single phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.base import DecisionFusion, log_mixture, softmax_over_present, zero_absent
from torch import Tensor, nn
from torch.nn import functional


class LateMean(DecisionFusion):
    """Averages the probabilities of the present phases.

    logits = log (1/n sum over present p of softmax(phase_logits_p))

    It averages probabilities, not logits, so that a very confident phase does not outvote the others. Two
    phases with 0.98 and 0.28 give 0.63; the mean of their logits would give 0.81.

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K] with ``weights`` [B, P], 1/n where present.

    Reference: Kittler et al., On combining classifiers, IEEE TPAMI 1998.
    """

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        scores = torch.zeros_like(phase_logits[:, :, 0])
        weights = softmax_over_present(scores, present)
        return log_mixture(phase_logits, scores, present), {"weights": weights}


class LateWeighted(DecisionFusion):
    """Averages the probabilities of the present phases with learned weights.

    w      = softmax over present p of v_p                 one learned score v_p per phase, all equal at first
    logits = log (sum over present p of w_p softmax(phase_logits_p))

    The scores do not depend on the case, so the weights tell how much each phase counts; in a case with absent
    phases, those of the others are scaled to sum to 1.

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
        scores = self.scores.expand(present.shape)
        weights = softmax_over_present(scores, present)
        return log_mixture(phase_logits, scores, present), {"weights": weights}


class LateProduct(DecisionFusion):
    """Multiplies the probabilities of the present phases, counting the class prior once.

    logits = log_softmax(sum over present p of log p_p - (n - 1) log pi),  p_p = softmax(phase_logits_p)

    with n present phases. This is Bayes' rule for phases that are independent given the class. It sums the
    log-probabilities instead of averaging them, so that agreement of phases adds up: 0.9 and 0.9 give 0.99.
    (The mean of log-probabilities would be the softmax of the mean logits, whatever n.) Each p_p contains
    the class prior pi, which the plain product would count n times and so favour frequent classes; all but
    one are divided out. pi is learned, and uniform at first. A single phase keeps its probability.

    Phases of one patient are never quite independent: where they agree for the same reason, the product is
    overconfident and `LateMean` is not.

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
        log_probability = zero_absent(phase_logits, present).log_softmax(dim=2)  # absent: uniform, changes nothing
        repeated = (present.sum(dim=1, keepdim=True) - 1).clamp_min(0)
        logits = log_probability.sum(dim=1) - repeated * self.log_prior.log_softmax(dim=0)
        aux: dict[str, Tensor] = {}
        return logits.log_softmax(dim=1), aux


class Evidential(DecisionFusion):
    """Lets every phase give evidence for the classes, so that it can also express uncertainty.

    e_p     = softplus(phase_logits_p), alpha_p = e_p + 1, S_p = sum_k alpha_pk
    b_pk    = e_pk / S_p, u_p = K / S_p             the opinion of phase p: beliefs and uncertainty, sum 1
    b_k     = (b_1k b_2k + b_1k u_2 + b_2k u_1) / (1 - conflict), u = u_1 u_2 / (1 - conflict)
    alpha_k = 1 + K b_k / u                         after combining all present phases pair by pair
    logits  = log alpha, so that softmax(logits) = alpha / S, the expected probability

    In terms of e_k / K = b_k / u, the rule reads 1 + e_k / K = prod over p of (1 + e_pk / K): the conflict
    cancels. It is computed in this form, in logarithms, where the order of the phases does not matter and
    nothing overflows. An absent phase has no evidence (b = 0, u = 1), which changes nothing.

    The uncertainty also follows from the logits: K / sum_k exp(logits_k).

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K]; ``uncertainty`` u [B];
    ``phase_uncertainty`` u_p [B, P], 1 where absent; ``phase_logits`` log alpha_p [B, P, K], 0 where absent.

    Reference: Han et al., Trusted multi-view classification, ICLR 2021; Jøsang, Subjective logic,
    Springer 2016.
    """

    of_probabilities = False

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        k = float(self.num_classes)
        evidence = zero_absent(functional.softplus(zero_absent(phase_logits, present)), present)
        total = torch.log1p(evidence / k).sum(dim=1)  # log (1 + e / K) of all phases
        logits = total + torch.log(k - (k - 1) * torch.exp(-total))  # log (1 + K (exp(total) - 1))
        return logits, {
            "uncertainty": k * torch.exp(-logits.logsumexp(dim=1)),
            "phase_uncertainty": k / (evidence + 1).sum(dim=2),
            "phase_logits": torch.log1p(evidence),
        }
