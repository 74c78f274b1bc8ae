# SPDX-License-Identifier: Apache-2.0
"""Deep supervision of single phases beside the fused prediction, and evidential losses."""

from __future__ import annotations

import math

import torch
from scripts.losses.classification import ClassificationLoss
from torch import Tensor, nn
from torch.nn import functional


def phase_loss(
    criterion: ClassificationLoss, phase_logits: Tensor, label: Tensor, coefficients: Tensor, present: Tensor
) -> Tensor:
    """Return the loss of the single phases: sum over phases of coefficient times criterion, averaged over cases.

    Args:
        criterion: loss of a prediction.
        phase_logits: [B, P, K]; values of absent phases are ignored.
        label: [B].
        coefficients: [B, P], summing to 1 over the present phases of a case.
        present: [B, P] bool.
    """
    case, phase = present.nonzero(as_tuple=True)
    return criterion(phase_logits[case, phase], label[case], coefficients[case, phase])


class DeepSupervision(nn.Module):
    """Trains every present phase to predict the class on its own as well, all with equal weight.

    loss = criterion(fused) + weight * mean over cases of (mean over present phases of criterion(phase))

    With class weights, both means are weighted as in the criterion. If the clinical table is a token of the
    network, it counts as one more phase, and P below means P + 1.

    Args:
        criterion: loss of a prediction.
        weight: weight of the single phases relative to the fused prediction.

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
                [B, K], as in evaluation, only the criterion is computed.
            label: class index [B].

        Raises:
            ValueError: the network has no phase heads.
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
        """Return the weight of each phase of a case, [B, P]; here equal weights of the present ones."""
        present = outputs["present"].float()
        return present / present.sum(dim=1, keepdim=True).clamp_min(1)


class AdaptiveDeepSupervision(DeepSupervision):
    """Trains every phase to predict the class on its own, weighted by how much the fusion relies on it.

    loss = criterion(fused) + weight * mean over cases of (sum over present p of beta_p * criterion(phase p))

    beta is detached; otherwise the loss could be reduced by shifting weight to the easiest phase.

    Args:
        criterion: loss of a prediction.
        weight: weight of the single phases relative to the fused prediction.

    Reference: attention-guided adaptive losses, IEEE JBHI 2022, doi 10.1109/JBHI.2022.3161466.
    """

    def coefficients(self, outputs: dict[str, Tensor]) -> Tensor:
        """Return the detached fusion weights, [B, P].

        Raises:
            ValueError: the fusion returns no weights.
        """
        if "weights" not in outputs:
            raise ValueError(
                "AdaptiveDeepSupervision needs a fusion that returns `weights` (such as Abaf), found one without"
            )
        return outputs["weights"].detach()


class DirichletLoss(ClassificationLoss):
    """Expected cross-entropy under a Dirichlet distribution, plus a penalty on misleading evidence.

    loss of a case = sum_k w_k t_k (psi(S) - psi(alpha_k)) + kl_weight w_y KL(Dir(alpha~) || Dir(1, ..., 1))

    with logits = log alpha, S = sum_k alpha_k, psi the digamma function, t the one-hot label of class y
    (smoothed as in the criterion), w the class weights, and alpha~ = alpha with alpha_y set to 1, which leaves
    only the misleading evidence. Averaged over the cases as in `ClassificationLoss`.

    The papers anneal the KL term over the first epochs; a loss does not know the epoch, so here its weight is
    small and constant. The KL term is clipped at alpha = exp(20), beyond which lgamma loses precision.

    Args:
        criterion: supplies class weights and label smoothing.
        kl_weight: weight of the KL term.

    Raises:
        ValueError: a focal criterion; focusing is not defined for a Dirichlet distribution.

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
        log_alpha, weights = logits.double(), weights.double()  # large alphas cancel in single precision
        one_hot = functional.one_hot(label, logits.shape[1]).to(log_alpha)
        target = one_hot * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        surprise = digamma_of_exp(log_alpha.logsumexp(dim=1, keepdim=True)) - digamma_of_exp(log_alpha)
        misleading = torch.where(one_hot.bool(), torch.zeros_like(log_alpha), log_alpha)
        per_case = (weights * target * surprise).sum(dim=1)
        return (per_case + self.kl_weight * weights[label] * kl_to_uniform(misleading)).to(logits)


def digamma_of_exp(x: Tensor) -> Tensor:
    """Return digamma(exp(x)); for large x, where exp(x) may overflow, by its asymptote x - exp(-x) / 2."""
    small = torch.digamma(x.clamp(max=15).exp())
    return torch.where(x < 15, small, x - 0.5 * torch.exp(-x.clamp(min=15)))


def kl_to_uniform(log_alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1, ..., 1)), [B], for log alpha [B, K].

    >>> kl_to_uniform(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))  # of Dir(a, 1): log a + 1 / a - 1
    tensor([0.0000, 1.1353])
    """
    alpha = log_alpha.clamp(max=20).exp()
    total = alpha.sum(dim=1)
    log_normaliser = total.lgamma() - math.lgamma(alpha.shape[1]) - alpha.lgamma().sum(dim=1)
    return log_normaliser + ((alpha - 1) * (alpha.digamma() - total.digamma().unsqueeze(1))).sum(dim=1)


class EvidentialLoss(DeepSupervision):
    """Trains the combined evidence, and that of every phase alone, to predict the class.

    loss = Dirichlet loss of all phases + weight * mean over cases of (mean over present phases of their losses)

    The paper sums over the phases; the mean keeps the balance if phases are missing. For plain logits, as in
    evaluation, only the criterion is computed: the cross-entropy of the expected probability.

    Args:
        criterion: loss of a prediction; its class weights and label smoothing apply, focusing does not.
        weight: weight of the single phases relative to the combined evidence.
        kl_weight: weight of the penalty on misleading evidence.

    Reference: Han et al., Trusted multi-view classification, ICLR 2021.
    """

    def __init__(self, criterion: ClassificationLoss, weight: float = 1.0, kl_weight: float = 0.05) -> None:
        super().__init__(DirichletLoss(criterion, kl_weight), weight)
        self.of_probability = criterion

    def forward(self, outputs: Tensor | dict[str, Tensor], label: Tensor) -> Tensor:
        """Compute the loss; arguments as for `DeepSupervision`.

        Raises:
            ValueError: the network gives no evidence.
        """
        if not isinstance(outputs, dict):
            return self.of_probability(outputs, label)
        if "uncertainty" not in outputs:
            raise ValueError(
                "EvidentialLoss needs a network that gives evidence (LateFusionNetwork with Evidential), "
                "found one that gives no `uncertainty`"
            )
        return super().forward(outputs, label)
