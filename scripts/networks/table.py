"""The clinical table alone: the baseline that images must beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_table
from scripts.networks.presence import presence
from scripts.networks.size import check_phases


class TableNetwork(nn.Module):
    """Classifies by the clinical table alone, and reads no image.

    clinical [B, T] -> table encoder -> logits [B, K]

    With `hidden: 0` in the encoder this is logistic regression on standardised values. A case without any
    clinical value has logits 0.

    Args:
        table: constructor (taking ``out_dim``) or ready `TableEncoder`.
        num_phases: P, of the images that are not read.
        num_classes: K.

    Raises:
        ValueError: without a table, or when the image has another number of phases.

    >>> from functools import partial
    >>> from scripts.networks import TableEncoder
    >>> table = partial(TableEncoder, columns=[{"name": "age", "kind": "number"}])
    >>> network = TableNetwork(table, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 8, 8, 8), clinical=torch.full((4, 1), torch.nan))[0]
    tensor([0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(self, table: Part | None, num_phases: int, num_classes: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.table: Any = build_table(table, num_classes)
        self.calibration = Calibration(num_classes)
        if self.table is None:
            raise ValueError(
                "this strategy reads the clinical table, found no column; name some in `clinical`, or choose "
                "another strategy"
            )

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.num_phases)
        present = presence(image, present)
        if torch.jit.is_scripting():
            return self.calibration(self.table(clinical, present)[0].float())
        with torch.autocast(image.device.type, enabled=False):
            logits, _ = self.table(clinical, present)
        return {"logits": logits, "present": present} if self.training else self.calibration(logits)
