"""Losses on every phase alone, beside the fused one."""

from __future__ import annotations

from torch import Tensor, nn

from scripts.losses.classification import ClassificationLoss


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
            raise ValueError(
                f"{type(self).__name__} needs a network with `phase_heads: true`, found one without"
            )
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
                "AdaptiveDeepSupervision needs a fusion that returns `weights` (such as Abaf), "
                "found one without"
            )
        return outputs["weights"].detach()
