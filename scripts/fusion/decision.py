"""What every fusion of the decisions of single phases shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.fusion.base import zero_absent


class DecisionFusion(nn.Module):
    """Combines what each phase alone says about the class. Every strategy is a sub-class in its own file.

    The contract, held by one test over all strategies:

    * ``forward(phase_logits [B, P, K], present [B, P] bool)`` returns logits [B, K], whose softmax is exactly
      the combined probability, and a dict, maybe empty, of further results; ``weights`` [B, P] sum to 1 over
      the present phases; a strategy that reads phase_logits otherwise than by softmax returns new
      ``phase_logits`` [B, P, K], whose softmax is what each phase alone says;
    * a case without any phase has the uniform probability;
    * what an absent phase holds, even NaN, changes neither results nor gradients;
    * cases do not influence each other; it scripts.

    Args:
        num_phases: P.
        num_classes: K.
    """

    def __init__(self, num_phases: int, num_classes: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_classes = num_classes

    def forward(self, phase_logits: Tensor, present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Combine phase logits [B, P, K] into logits [B, K]."""
        raise NotImplementedError


def log_mixture(phase_logits: Tensor, scores: Tensor, present: Tensor) -> Tensor:
    """Return the log of a weighted mean of probabilities, [B, K], with weights softmax(scores).

    log sum over present p of w_p softmax(phase_logits_p), computed without leaving the logarithm

    Args:
        phase_logits: [B, P, K]; absent phases may hold anything.
        scores: [B, P]; the softmax runs over the present phases.
        present: [B, P] bool.

    A case without any phase gets the uniform probability.

    >>> phase_logits = torch.tensor([[[0.98, 0.02], [0.28, 0.72]]]).log()
    >>> log_mixture(phase_logits, torch.zeros(1, 2), torch.tensor([[True, True]])).exp()
    tensor([[0.6300, 0.3700]])
    """
    log_weights = torch.where(present, scores, torch.full_like(scores, -1e9)).log_softmax(dim=1)
    log_probability = zero_absent(phase_logits, present).log_softmax(dim=2)
    return (log_weights.unsqueeze(2) + log_probability).logsumexp(dim=1)
