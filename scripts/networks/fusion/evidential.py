"""Trusted multi-view classification: evidence of the phases, combined by Dempster's rule."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from scripts.networks.fusion.base import DecisionFusion, zero_absent


class Evidential(DecisionFusion):
    """Lets every phase give evidence for the classes, so that it can also say that it does not know.

    e_p     = softplus(phase_logits_p), alpha_p = e_p + 1, S_p = sum_k alpha_pk
    b_pk    = e_pk / S_p, u_p = K / S_p             the opinion of phase p: beliefs and uncertainty, sum 1
    b_k     = (b_1k b_2k + b_1k u_2 + b_2k u_1) / (1 - conflict), u = u_1 u_2 / (1 - conflict)
    alpha_k = 1 + K b_k / u                         after combining all present phases pair by pair
    logits  = log alpha, so that softmax(logits) = alpha / S, the expected probability

    In e_k / K = b_k / u, the rule reads 1 + e_k / K = prod over p of (1 + e_pk / K): the conflict cancels.
    It is computed in this form, in the logarithm, where the order of the phases plays no part and nothing
    overflows. An absent phase has no evidence (b = 0, u = 1), which changes nothing.

    The uncertainty can be read from the logits as well: K / sum_k exp(logits_k).

    Args:
        num_phases: P.
        num_classes: K.

    Shape: phase_logits [B, P, K], present [B, P] -> logits [B, K]; ``uncertainty`` u [B];
    ``phase_uncertainty`` u_p [B, P], 1 where absent; ``phase_logits`` log alpha_p [B, P, K], 0 where absent.

    Reference: Han et al., Trusted multi-view classification, ICLR 2021; Jøsang, Subjective logic,
    Springer 2016.
    """

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine."""
        k = float(self.num_classes)
        evidence = zero_absent(functional.softplus(zero_absent(phase_logits, present)), present)
        total = torch.log1p(evidence / k).sum(dim=1)  # log (1 + e / K) of all phases
        logits = total + torch.log(k - (k - 1) * torch.exp(-total))  # log (1 + K (exp(total) - 1))
        return logits, {
            "uncertainty": k * torch.exp(-logits.logsumexp(dim=1)),
            "phase_uncertainty": k / (evidence + 1).sum(dim=2),
            "phase_logits": torch.log1p(evidence),
        }
