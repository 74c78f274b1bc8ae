"""Hides clinical values while training, so that a network does not learn patients by their table."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class ClinicalDropout:
    """Hides the whole clinical table of a training case with a probability, and each value of the others.

    A few numbers name a patient of a small cohort: a network that conditions the images on them can learn
    every answer by heart, and never looks at the images. Where values are missing it has to. It also learns
    what to say for a patient whose table is incomplete, or empty. Draws follow from torch's CPU generator.

    Args:
        probability: that a table is hidden, and that a value of any other table is; 0 hides none.

    Raises:
        ValueError: a probability outside [0, 1).

    Shape:
        clinical ``[B, T]`` -> ``[B, T]``, NaN where hidden

    Reference: Neverova et al., ModDrop: adaptive multi-modal gesture recognition, IEEE TPAMI 2016, with the
    table as a modality.
    """

    def __init__(self, probability: float = 0.0) -> None:
        if not 0 <= probability < 1:
            raise ValueError(f"clinical_dropout must be at least 0 and below 1, found {probability}")
        self.probability = float(probability)

    def __call__(self, clinical: Tensor) -> Tensor:
        if self.probability == 0:
            return clinical
        draw = torch.rand(len(clinical), 1 + clinical.shape[1]).to(clinical.device) < self.probability
        hidden = draw[:, :1] | draw[:, 1:]
        return torch.where(hidden, torch.full_like(clinical, math.nan), clinical)
