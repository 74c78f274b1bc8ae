# SPDX-License-Identifier: Apache-2.0
"""Losses on every phase alone beside the fused one, and of evidence."""

from __future__ import annotations

import math

import torch
from scripts.losses.classification import ClassificationLoss
from torch import Tensor, nn
from torch.nn import functional


def phase_loss(
    criterion: ClassificationLoss, phase_logits: Tensor, label: Tensor, coefficients: Tensor, present: Tensor
) -> Tensor:
    """Loss of the single phases: sum over phases of coefficient times criterion, averaged over the cases.

    Args:
        criterion: loss of one prediction.
        phase_logits: [B, P, K]; absent phases may hold anything.
        label: [B].
        coefficients: [B, P], summing to 1 over the present phases of a case.
        present: [B, P] bool.
    """
    case, phase = present.nonzero(as_tuple=True)
    return criterion(phase_logits[case, phase], label[case], coefficients[case, phase])


class DeepSupervision(nn.Module):
    """Asks every phase alone for the class as well, all present phases alike.

    loss = criterion(fused) + weight * mean over cases of (mean over present phases of criterion(phase))

    With class weights both means are weighted means, as in the criterion. A clinical table that is a token of
    the network counts as one more phase: all P below are then P + 1.

    Args:
        criterion: loss of one prediction.
        weight: importance of the single phases beside the fused prediction.

    Reference: Lee et al., Deeply-supervised nets, AISTATS 2015.
    """

    def __init__(self, criterion: ClassificationLoss, weight: float = 0.5) -> None:
        super().__init__()
        self.criterion = criterion
        self.weight = weight

    def forward(self, outputs: Tensor | dict[str, Tensor], label: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            outputs: the network's dict with ``logits``, ``phase_logits`` and ``present``; for plain logits
                [B, K], as in evaluation, the loss is the criterion alone.
            label: class index [B].

        Raises:
            ValueError: when the network has no phase heads.
        """
        fused = self.criterion(outputs, label)
        if not isinstance(outputs, dict):
            return fused
        if "phase_logits" not in outputs:
            raise ValueError(f"{type(self).__name__} needs a network with `phase_heads: true`, found one without")
        phases = phase_loss(
            self.criterion, outputs["phase_logits"], label, self.coefficients(outputs), outputs["present"]
        )
        return fused + self.weight * phases

    def coefficients(self, outputs: dict[str, Tensor]) -> Tensor:
        """Return how much each phase of a case counts, [B, P]: here equal shares of the present ones."""
        present = outputs["present"].float()
        return present / present.sum(dim=1, keepdim=True).clamp_min(1)


class AdaptiveDeepSupervision(DeepSupervision):
    """Asks every phase alone for the class, each as much as the fusion relies on it in this case.

    loss = criterion(fused) + weight * mean over cases of (sum over present p of beta_p * criterion(phase p))

    beta is detached: otherwise the loss would fall by moving weight to whichever phase is easiest.

    Args:
        criterion: loss of one prediction.
        weight: importance of the single phases beside the fused prediction.

    Reference: attention-guided adaptive losses, IEEE JBHI 2022, doi 10.1109/JBHI.2022.3161466.
    """

    def coefficients(self, outputs: dict[str, Tensor]) -> Tensor:
        """Return the detached fusion weights, [B, P].

        Raises:
            ValueError: when the fusion gives no weights.
        """
        if "weights" not in outputs:
            raise ValueError(
                "AdaptiveDeepSupervision needs a fusion that returns `weights` (such as Abaf), found one without"
            )
        return outputs["weights"].detach()


class DirichletLoss(ClassificationLoss):
    """Expected cross-entropy under a Dirichlet distribution, and a pull of wrong evidence towards none.

    loss of a case = sum_k w_k t_k (psi(S) - psi(alpha_k)) + kl_weight w_y KL(Dir(alpha~) || Dir(1, ..., 1))

    with logits = log alpha, S = sum_k alpha_k, psi the digamma function, t the one-hot label of class y
    (smoothed as in the criterion), w the class weights, and alpha~ = alpha with alpha_y set to 1, the
    misleading evidence. Averaged over the cases as in `ClassificationLoss`.

    The papers anneal the KL term over the first epochs; a loss does not know the epoch, so it is small and
    constant here. Above alpha = exp(20) the KL term is cut off, where lgamma loses its digits.

    Args:
        criterion: gives class weights and label smoothing.
        kl_weight: importance of the KL term.

    Raises:
        ValueError: for a focal criterion, since focusing of a Dirichlet is not defined.

    Reference: Sensoy et al., Evidential deep learning to quantify classification uncertainty, NeurIPS 2018;
    Han et al., Trusted multi-view classification, ICLR 2021.
    """

    def __init__(self, criterion: ClassificationLoss, kl_weight: float = 0.05) -> None:
        if criterion.focal_gamma:
            raise ValueError(f"EvidentialLoss needs focal_gamma 0, found {criterion.focal_gamma}; set focal_gamma to 0")
        weights = None if criterion.class_weights is None else criterion.class_weights.tolist()
        super().__init__(weights, label_smoothing=criterion.label_smoothing)
        self.kl_weight = kl_weight

    def _per_case(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        log_alpha, weights = logits.double(), weights.double()
        one_hot = functional.one_hot(label, logits.shape[1]).to(log_alpha)
        target = one_hot * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        surprise = digamma_of_exp(log_alpha.logsumexp(dim=1, keepdim=True)) - digamma_of_exp(log_alpha)
        misleading = torch.where(one_hot.bool(), torch.zeros_like(log_alpha), log_alpha)
        per_case = (weights * target * surprise).sum(dim=1)
        return (per_case + self.kl_weight * weights[label] * kl_to_uniform(misleading)).to(logits)


def digamma_of_exp(x: Tensor) -> Tensor:
    """Return digamma(exp(x)), which is x - exp(-x) / 2 for large x, where exp(x) may overflow."""
    small = torch.digamma(x.clamp(max=15).exp())
    return torch.where(x < 15, small, x - 0.5 * torch.exp(-x.clamp(min=15)))


def kl_to_uniform(log_alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1, ..., 1)), [B], of log alpha [B, K].

    >>> kl_to_uniform(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))  # of Dir(a, 1): log a + 1 / a - 1
    tensor([0.0000, 1.1353])
    """
    alpha = log_alpha.clamp(max=20).exp()
    total = alpha.sum(dim=1)
    log_normaliser = total.lgamma() - math.lgamma(alpha.shape[1]) - alpha.lgamma().sum(dim=1)
    return log_normaliser + ((alpha - 1) * (alpha.digamma() - total.digamma().unsqueeze(1))).sum(dim=1)


class EvidentialLoss(DeepSupervision):
    """Asks the combined evidence and the evidence of every phase alone for the class.

    loss = Dirichlet loss of all phases + weight * mean over cases of (mean over present phases of theirs)

    The paper sums over the phases; the mean keeps the balance when phases are missing. Plain logits, as in
    evaluation, have the criterion alone: the cross-entropy of the expected probability.

    Args:
        criterion: loss of one prediction: its class weights and label smoothing apply, focusing does not.
        weight: importance of the single phases beside the combined evidence.
        kl_weight: importance of the pull of wrong evidence towards none.

    Reference: Han et al., Trusted multi-view classification, ICLR 2021.
    """

    def __init__(self, criterion: ClassificationLoss, weight: float = 1.0, kl_weight: float = 0.05) -> None:
        super().__init__(DirichletLoss(criterion, kl_weight), weight)
        self.of_probability = criterion

    def forward(self, outputs: Tensor | dict[str, Tensor], label: Tensor) -> Tensor:
        """Compute the loss; arguments as in `DeepSupervision`.

        Raises:
            ValueError: when the network gives no evidence.
        """
        if not isinstance(outputs, dict):
            return self.of_probability(outputs, label)
        if "uncertainty" not in outputs:
            raise ValueError(
                "EvidentialLoss needs a network that gives evidence (LateFusionNetwork with Evidential), "
                "found one that gives no `uncertainty`"
            )
        return super().forward(outputs, label)
