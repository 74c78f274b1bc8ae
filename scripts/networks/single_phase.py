"""One phase alone: the baseline that every fusion must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scripts.data.nearest import listing
from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part
from scripts.networks.phase_tokens import PhaseTokenNetwork
from scripts.networks.presence import token_presence
from scripts.networks.size import check_phases


class SinglePhaseNetwork(PhaseTokenNetwork):
    """Encodes one named phase, reads no other, and classifies.

    image [B, P, D, H, W] -> phase p -> encoder -> [B, C] -> head -> logits [B, K]

    Views of the phase stand side by side before the last layer, [B, V C].

    A case without this phase has a token of zeros, so that its logits are those of the last layer's bias.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module of one channel.
        phases: names of the phases, in the order of the channels.
        phase: name of the phase to read.
        num_classes: K.
        dropout: fraction of the features dropped before the last layer.

    Raises:
        ValueError: for an unknown phase, or when the image has another number of phases.

    >>> from scripts.networks import ResidualEncoder
    >>> SinglePhaseNetwork(ResidualEncoder, ["pre", "portal"], "portl", num_classes=2)
    Traceback (most recent call last):
    ...
    ValueError: single_phase must be one of [pre, portal] (nearest: 'portal'), found 'portl'
    """

    def __init__(
        self, encoder: Part, phases: Sequence[str], phase: str, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__(encoder, num_phases=1)
        if phase not in phases:
            raise ValueError(f"single_phase must be one of {listing(phase, phases)}, found '{phase}'")
        self.given_phases = len(phases)
        self.index = list(phases).index(phase)
        self.encoded_phases = [self.index]  # of the encoder's one feature map, for heat maps
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.image_tokens * self.token_dim, num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.given_phases, self.channels)
        seen = token_presence(image, present, self.given_phases, self.num_views, self.channels)
        first, last = self.index * self.channels, (self.index + 1) * self.channels
        there = seen[:, self.index * self.num_views : (self.index + 1) * self.num_views]
        features = self.tokens(image[:, first:last], there).flatten(1)
        if torch.jit.is_scripting():
            return self.calibration(self.head(self.dropout(features)).float())
        with torch.autocast(image.device.type, enabled=False):
            logits = self.head(self.dropout(features))
        return {"logits": logits, "present": seen} if self.training else self.calibration(logits)
