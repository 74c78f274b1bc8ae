# SPDX-License-Identifier: Apache-2.0
"""Networks without fusion after the encoder: phases as channels, one phase alone, the table alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scripts.files.plain_text import listing
from scripts.networks.base import Classifier, PhaseNetwork
from scripts.networks.fusion.base import zero_absent
from scripts.networks.grades import log_grades
from scripts.networks.parts import Part, build, build_table, check_phases, pool, presence, token_presence
from torch import Tensor, nn


class OneVolumeNetwork(PhaseNetwork):
    """Reads one volume per case; the features of its views are concatenated before the last layer, [B, V C].

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        given_phases: P, phases of the image.
        num_classes: K.
        dropout: fraction of the features dropped before the last layer.
        ordinal: the classes are ordered grades.
    """

    def __init__(
        self, encoder: Part, given_phases: int, num_classes: int, dropout: float, ordinal: bool = False
    ) -> None:
        super().__init__(encoder, num_classes=num_classes, dropout=dropout, ordinal=ordinal)
        self.given_phases = given_phases

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build the last layer."""
        self.head = self.last_layer(self.num_tokens * self.token_dim, num_classes)

    def seen(self, image: Tensor, present: Tensor | None) -> Tensor:
        """Check the image and return which of its tokens are present, [B, P V]; see `token_presence`."""
        check_phases(image, self.given_phases, self.channels)
        return token_presence(image, present, self.given_phases, self.num_views, self.channels)


class EarlyFusionNetwork(OneVolumeNetwork):
    """Encodes all phases together, as channels of one volume, and classifies.

    image [B, P, D, H, W] -> encoder with P channels -> [B, C] -> head -> logits [B, K]

    An absent phase enters as zeros.

    Args:
        encoder: constructor (taking ``in_channels``), or ready module of `num_phases` channels.
        fusion, share_encoder, table: not used; see `PhaseNetwork` for the others.

    >>> from scripts.networks import ResidualEncoder
    >>> network = EarlyFusionNetwork(ResidualEncoder, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None = None,
        num_phases: int = 1,
        num_classes: int = 2,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        ordinal: bool = False,
    ) -> None:
        def of_all(in_channels: int) -> nn.Module:
            return build(encoder, in_channels=num_phases * in_channels)

        super().__init__(of_all, num_phases, num_classes, dropout, ordinal)

    def maps(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Encode the phases together into V maps."""
        by_channel = [-1, self.given_phases * self.channels, self.num_views // self.channels]
        image = zero_absent(image, present.reshape(by_channel).any(dim=2))
        return self.encoder(image) if self.several else [self.encoder(image)]

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        features: list[Tensor] = []
        for one in maps:
            features.append(pool(one))
        return self.head(self.dropout(torch.cat(features, dim=1))), {"present": present}


class SinglePhaseNetwork(OneVolumeNetwork):
    """Classifies by one named phase and reads no other.

    image [B, P, D, H, W] -> phase p -> encoder -> [B, C] -> head -> logits [B, K]

    A case without this phase has a token of zeros, so that its logits are the bias of the last layer.

    Args:
        encoder: of one channel.
        fusion, num_phases, share_encoder, table: not used; see `PhaseNetwork` for the others.
        phases: names of the phases, in the order of the channels.
        phase: name of the phase to read.

    Raises:
        ValueError: for an unknown phase.

    >>> from scripts.networks import ResidualEncoder
    >>> SinglePhaseNetwork(ResidualEncoder, phases=["pre", "portal"], phase="portl")
    Traceback (most recent call last):
    ...
    ValueError: single_phase must be one of [pre, portal] (nearest: 'portal'), found 'portl'
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None = None,
        num_phases: int = 1,
        num_classes: int = 2,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        ordinal: bool = False,
        *,
        phases: Sequence[str],
        phase: str,
    ) -> None:
        super().__init__(encoder, len(phases), num_classes, dropout, ordinal)
        if phase not in phases:
            raise ValueError(f"single_phase must be one of {listing(phase, phases)}, found '{phase}'")
        self.index = list(phases).index(phase)
        self.encoded_phases = [self.index]  # of the encoder's one feature map, for heat maps

    def maps(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Encode the phase into V maps."""
        first, last = self.index * self.channels, (self.index + 1) * self.channels
        return self.encode(image[:, first:last], self.of_phase(present))

    def of_phase(self, present: Tensor) -> Tensor:
        """Return which tokens of the phase are present: [B, P V] -> [B, V]."""
        return present[:, self.index * self.num_views : (self.index + 1) * self.num_views]

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.pooled(maps, self.of_phase(present)).flatten(1)
        return self.head(self.dropout(features)), {"present": present}


class TableNetwork(Classifier):
    """Classifies by the clinical table alone, and reads no image.

    clinical [B, T] -> table encoder -> logits [B, K]

    With `hidden: 0` in the table encoder this is logistic regression on standardised values. A case without any
    clinical value has logits 0.

    Args:
        encoder, fusion, share_encoder, dropout: not used.
        num_phases: P, phases of the images, which are only checked.
        num_classes: K.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`.
        ordinal: the classes are ordered grades: the table gives the z of `GradeHead`.

    Raises:
        ValueError: without a table.

    >>> from functools import partial
    >>> from scripts.networks import TableEncoder
    >>> table = partial(TableEncoder, columns=[{"name": "age", "kind": "number"}])
    >>> network = TableNetwork(num_phases=3, num_classes=2, table=table).eval()
    >>> network(torch.rand(4, 3, 8, 8, 8), clinical=torch.full((4, 1), torch.nan))[0]
    tensor([0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(
        self,
        encoder: Part | None = None,
        fusion: Part | None = None,
        num_phases: int = 1,
        num_classes: int = 2,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        ordinal: bool = False,
    ) -> None:
        super().__init__(num_classes, ordinal)
        self.num_phases = num_phases
        self.table = build_table(table, num_classes - 1 if ordinal else num_classes)

    def seen(self, image: Tensor, present: Tensor | None) -> Tensor:
        """Check the image and return which of its phases are present."""
        check_phases(image, self.num_phases)
        return presence(image, present)

    def maps(self, image: Tensor, present: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        return found

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.table(clinical, present)[0]
        return log_grades(logits) if self.ordinal else logits, {"present": present}
