# SPDX-License-Identifier: Apache-2.0
"""Base classes of the networks: a common signature, the path from image to logits, one token per phase."""

from __future__ import annotations

from typing import Any

import torch
from scripts.networks.calibration import Calibration
from scripts.networks.fusion.base import zero_absent
from scripts.networks.grades import GradeHead
from scripts.networks.parts import Part, build, pool
from scripts.networks.phase_encoding import PhaseEncoding
from torch import Tensor, nn


class Classifier(nn.Module):
    """From an image, and optionally a clinical table, to logits: `maps` encodes, `decide` does the rest.

    The rest is cheap, and is computed in float32 whatever the precision of the encoder.

    Args:
        num_classes: K.
        ordinal: the classes are ordered grades: last layers answer as `GradeHead` says.
    """

    def __init__(self, num_classes: int, ordinal: bool = False) -> None:
        super().__init__()
        self.calibration = Calibration(num_classes)
        self.ordinal = ordinal

    def last_layer(self, in_dim: int, num_classes: int) -> nn.Linear:
        """Return a layer from features [..., in_dim] to logits [..., K]."""
        return GradeHead(in_dim, num_classes) if self.ordinal else nn.Linear(in_dim, num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify a batch.

        Args:
            image: [B, P, D, H, W]; absent phases may hold anything, NaN included, if `present` is given.
            clinical: [B, T], NaN where a value is missing; None: no case has a table. Networks without a table
                ignore it.
            present: [B, P]; None: a phase whose voxels are all 0 is absent. See `token_presence` for views.

        Returns:
            Logits [B, K] float32, divided by the temperature. In eager training a dict with the raw
            ``logits``, ``present`` (of the fused tokens), and what the strategy adds: ``weights`` [B, M],
            ``phase_logits`` [B, M, K].

        Raises:
            ValueError: the image has a different number of phases.
        """
        seen = self.seen(image, present)
        maps = self.maps(image, seen)
        if torch.jit.is_scripting():
            return self.calibration(self.decide(maps, seen, clinical)[0].float())
        return self.in_float32(maps, seen, clinical)

    @torch.jit.unused
    def in_float32(self, maps: list[Tensor], seen: Tensor, clinical: Tensor | None) -> Tensor | dict[str, Tensor]:
        """Turn maps into what `forward` returns, outside TorchScript."""
        with torch.autocast(seen.device.type, enabled=False):
            logits, outputs = self.decide(maps, seen, clinical)
        return {"logits": logits, **outputs} if self.training else self.calibration(logits)

    def seen(self, image: Tensor, present: Tensor | None) -> Tensor:
        """Check the image and return which of its tokens are present."""
        raise NotImplementedError

    def maps(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Encode the image."""
        raise NotImplementedError

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the raw logits, and further outputs for training."""
        raise NotImplementedError


class PhaseNetwork(PhaseEncoding, Classifier):
    """Encodes every phase into a feature map, or one token; sub-classes turn them into classes.

    image [B, P, D, H, W] -> encoder -> feature maps, averaged over space -> tokens [B, P, C]
    clinical [B, T] -> table encoder -> layer norm -> one more, last token: M = P + 1; without a table M = P

    The layer norm scales the table's token to the size of the phases' tokens, so that a fusion that compares
    tokens (by their maximum, say) does not overlook it. The table is absent in a case without clinical values.

    An encoder that reads several views of a phase (`ViewEncoder`) gives one token for each of V views, ordered by
    phase, then by view: P V tokens of the image. Views are absent where their phase is.

    Absent phases are left out of the encoder as `PhaseEncoding` says.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        fusion: constructor or ready module of `networks.fusion`, of the kind that the subclass names.
        num_phases: P.
        num_classes: K.
        share_encoder: True: one encoder for all phases; False: one per phase.
        dropout: fraction of the features dropped before the last layer.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`; None: no clinical table is read.
        ordinal: the classes are ordered grades, see `GradeHead`.
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
        super().__init__(num_classes, ordinal)
        self.set_encoder(encoder, num_phases, share_encoder)
        self.table: Any = build(table, out_dim=self.token_dim)
        self.table_norm: Any = None if self.table is None else nn.LayerNorm(self.token_dim)
        self.image_tokens = num_phases * self.num_views
        self.num_tokens = self.image_tokens if self.table is None else self.image_tokens + 1
        self.dropout = nn.Dropout(dropout)
        self.make_head(fusion, num_classes)

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build the layers that `decide` needs; does nothing where a subclass builds them in its constructor."""

    def maps(self, image: Tensor, present: Tensor) -> list[Tensor]:
        """Encode the phases: image [B, P, D, H, W], present [B, P V] -> P V maps [B, C, d, h, w], float32.

        In evaluation an absent phase is encoded as zeros; the fusion leaves its map out.
        """
        found: list[Tensor] = []
        for maps in self.encode(image, present):
            found.append(maps.float())
        return found

    def tokens(self, image: Tensor, present: Tensor) -> Tensor:
        """Encode the phases: image [B, P, D, H, W], present [B, P V] -> [B, P V, C], 0 where absent."""
        return self.pooled(self.maps(image, present), present)

    def pooled(self, maps: list[Tensor], present: Tensor) -> Tensor:
        """Average maps over space: -> [B, P V, C], 0 where absent."""
        tokens: list[Tensor] = []
        for one in maps:
            tokens.append(pool(one))
        return zero_absent(torch.stack(tokens, dim=1), present)

    def with_table(self, tokens: Tensor, present: Tensor, clinical: Tensor | None) -> tuple[Tensor, Tensor]:
        """Append the token of the clinical table: tokens [B, P V, C], present [B, P V] -> [B, M, C], [B, M]."""
        if self.table is None:
            return tokens, present
        token, there = self.table(clinical, tokens)
        present = torch.cat([present, there.unsqueeze(1)], dim=1)
        tokens = torch.cat([tokens, self.table_norm(token).unsqueeze(1)], dim=1)
        return zero_absent(tokens, present), present

    def beside_table(self, features: Tensor, clinical: Tensor | None) -> Tensor:
        """Append the encoded table to the fused features: [B, F] -> [B, F + C]; without a table [B, F]."""
        if self.table is None:
            return features
        token, there = self.table(clinical, features)
        return torch.cat([features, zero_absent(self.table_norm(token), there)], dim=1)
