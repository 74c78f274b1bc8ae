"""Deep supervision weighted by the network's own attention."""

from __future__ import annotations

from torch import Tensor

from scripts.losses.deep_supervision import DeepSupervision


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
