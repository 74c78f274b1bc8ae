"""Hides phases while training, so that a network knows how much to say without them."""

from __future__ import annotations

import torch
from torch import Tensor


class PhaseDropout:
    """Marks phases of a training case as absent, each with a probability, never the last one.

    Every phase draws u uniform in [0, 1) and stays if u >= `probability`. Where all phases of a case would
    go, the one with the largest u stays. Draws follow from torch's CPU generator.

    Args:
        probability: that a phase is hidden; 0 hides none.

    Raises:
        ValueError: a probability outside [0, 1).

    Shape:
        present ``[B, P]`` bool -> ``[B, P]`` bool

    Reference: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, IEEE TPAMI 2016.

    >>> torch.equal(PhaseDropout(0.0)(torch.eye(3) > 0), torch.eye(3) > 0)
    True
    """

    def __init__(self, probability: float = 0.0) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"phase_dropout must be at least 0 and below 1, found {probability}")
        self.probability = float(probability)

    def __call__(self, present: Tensor) -> Tensor:
        if self.probability == 0:
            return present
        draw = torch.rand(present.shape).to(present.device).masked_fill(~present, -1.0)
        last = draw == draw.amax(dim=1, keepdim=True)
        return present & ((draw >= self.probability) | last)
