"""Early fusion: the phases are the channels of one volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from scripts.files.plain_text import listing
from scripts.networks.calibration import Calibration
from scripts.networks.fusion.base import zero_absent
from scripts.networks.parts import Part, build_encoder, build_table, check_phases, maps_per_volume, width_of
from scripts.networks.phase_fusion import PhaseTokenNetwork
from scripts.networks.presence import image_channels, pool, presence, token_presence


class EarlyFusionNetwork(nn.Module):
    """Encodes all phases together, as channels of one volume, and classifies.

    image [B, P, D, H, W] -> encoder with P channels -> [B, C] -> head -> logits [B, K]

    An absent phase is read as zeros. Views of the volume stand side by side before the last layer, [B, V C].

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

    __constants__ = ("several",)  # lets TorchScript leave the other branch out

    def __init__(self, encoder: Part, num_phases: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.encoder = build_encoder(encoder, num_phases)
        self.dropout = nn.Dropout(dropout)
        self.several = maps_per_volume(self.encoder) > 0
        self.num_views = max(maps_per_volume(self.encoder), 1)
        self.channels = image_channels(self.encoder)
        self.head = nn.Linear(self.num_views * width_of(self.encoder), num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`."""
        check_phases(image, self.num_phases, self.channels)
        present = token_presence(image, present, self.num_phases, self.num_views, self.channels)
        by_channel = [-1, self.num_phases * self.channels, self.num_views // self.channels]
        image = zero_absent(image, present.reshape(by_channel).any(dim=2))
        if self.several:
            views: list[Tensor] = []
            for maps in self.encoder(image):
                views.append(pool(maps))
            features = torch.cat(views, dim=1)
        else:
            features = pool(self.encoder(image))
        if torch.jit.is_scripting():
            return self.calibration(self.head(self.dropout(features)).float())
        with torch.autocast(image.device.type, enabled=False):
            logits = self.head(self.dropout(features))
        return {"logits": logits, "present": present} if self.training else self.calibration(logits)


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
