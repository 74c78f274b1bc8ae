"""One phase alone: the baseline that every fusion must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scripts.data.nearest import listing
from scripts.fusion.base import zero_absent
from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_encoder, width_of
from scripts.networks.presence import encode_present, pool, presence
from scripts.networks.size import check_phases


class SinglePhaseNetwork(nn.Module):
    """Encodes one named phase, reads no other, and classifies.

    image [B, P, D, H, W] -> phase p -> encoder -> [B, C] -> head -> logits [B, K]

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
        super().__init__()
        if phase not in phases:
            raise ValueError(f"single_phase must be one of {listing(phase, phases)}, found '{phase}'")
        self.num_phases = len(phases)
        self.index = list(phases).index(phase)
        self.encoder = build_encoder(encoder, 1)
        self.token_dim = width_of(self.encoder)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.token_dim, num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.num_phases)
        present = presence(image, present)
        token = self.token(image[:, self.index : self.index + 1], present[:, self.index : self.index + 1])
        if torch.jit.is_scripting():
            return self.calibration(self.head(self.dropout(token)).float())
        with torch.autocast(image.device.type, enabled=False):
            logits = self.head(self.dropout(token))
        return {"logits": logits, "present": present} if self.training else self.calibration(logits)

    def token(self, volume: Tensor, present: Tensor) -> Tensor:
        """Encode the phase: volume [B, 1, D, H, W], present [B, 1] -> [B, C], 0 where absent."""
        if not torch.jit.is_scripting() and self.training:
            return encode_present(self.encoder, volume, present.flatten(), self.token_dim)
        return zero_absent(pool(self.encoder(zero_absent(volume, present))), present)
