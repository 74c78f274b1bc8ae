"""Early fusion: the phases are the channels of one volume."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.fusion.base import zero_absent
from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_encoder, width_of
from scripts.networks.presence import pool, presence
from scripts.networks.size import check_phases


class EarlyFusionNetwork(nn.Module):
    """Encodes all phases together, as channels of one volume, and classifies.

    image [B, P, D, H, W] -> encoder with P channels -> [B, C] -> head -> logits [B, K]

    An absent phase is read as zeros.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module with `num_phases` channels.
        num_phases: P.
        num_classes: K.
        dropout: fraction of the features dropped before the last layer.

    Raises:
        ValueError: when the image has another number of phases.

    >>> from scripts.networks import ResidualEncoder
    >>> network = EarlyFusionNetwork(ResidualEncoder, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(self, encoder: Part, num_phases: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.encoder = build_encoder(encoder, num_phases)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width_of(self.encoder), num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.num_phases)
        present = presence(image, present)
        features = pool(self.encoder(zero_absent(image, present)))
        if torch.jit.is_scripting():
            return self.calibration(self.head(self.dropout(features)).float())
        with torch.autocast(image.device.type, enabled=False):
            logits = self.head(self.dropout(features))
        return {"logits": logits, "present": present} if self.training else self.calibration(logits)
