# SPDX-License-Identifier: Apache-2.0
"""Fusion of the phases at several stages of the encoder, merged from coarse to fine."""

from __future__ import annotations

import torch
from scripts.networks.base import PhaseNetwork
from scripts.networks.decoders import Context, FeaturePyramid, SkipDecoder
from scripts.networks.encoders.stages import StageEncoder
from scripts.networks.parts import Part, build, build_fusion, own, pool, width_of
from torch import Tensor, nn


class MultiLevelNetwork(PhaseNetwork):
    """Fuses the phases at every stage of the encoder, merges the stages as a pyramid, and classifies.

    image [B, P, D, H, W] -> encoder -> maps of L stages of each phase -> fusion of the phases, one per stage
    -> a_1, ..., a_L -> pyramid, from coarse to fine -> mean over space of each -> [B, L F] -> head -> [B, K]

    Fine stages show edges and small foci, coarse stages their surroundings. With V views each view has its own
    fusions, all views pass through one pyramid, and their results are concatenated. The encoded clinical table is
    appended to them, 0 where a case has none.

    Args:
        encoder: with stages (`stage_maps`); for the arguments not listed here see `PhaseNetwork`.
        fusion: constructor (taking ``num_maps``, ``in_dim`` and ``out_dim``) of a `MapFusion`, one per stage.
        width: F, channels of the pyramid, a multiple of 4.
        skips: merge as the decoder of a U-Net does, by concatenation, instead of a feature pyramid.
        context: first apply atrous convolutions to the coarsest stage (`Context`).

    Raises:
        ValueError: an encoder without stages.
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part | None,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        width: int = 64,
        skips: bool = False,
        context: bool = False,
        ordinal: bool = False,
    ) -> None:
        def staged(in_channels: int) -> nn.Module:
            return StageEncoder(build(encoder if share_encoder else own(encoder), in_channels=in_channels), in_channels)

        super().__init__(staged, None, num_phases, num_classes, share_encoder, dropout, table, ordinal)
        dims = list((self.encoder if share_encoder else self.encoder[0]).dims)
        self.num_levels = len(dims)
        self.views_per_phase = self.num_views // self.num_levels
        self.fusions = nn.ModuleList(
            build_fusion(fusion, num_maps=num_phases, in_dim=dim, out_dim=width)
            for _ in range(self.views_per_phase)
            for dim in dims
        )
        widths = [width_of(one) for one in self.fusions][: self.num_levels]
        self.context = Context(widths[-1]) if context else nn.Identity()
        self.pyramid = (SkipDecoder if skips else FeaturePyramid)(widths, width)
        beside = 0 if self.table is None else self.token_dim
        self.head = self.last_layer(self.num_views * width + beside, num_classes)

    def features(self, maps: list[Tensor], present: Tensor) -> Tensor:
        """Fuse and merge: P V L maps, present [B, P V L] -> [B, V L F]."""
        there = present.reshape(-1, self.num_phases, self.num_views)
        levels: list[Tensor] = []
        for slot, fusion in enumerate(self.fusions):
            levels.append(fusion(maps[slot :: self.num_views], there[:, :, slot])[0])
        features: list[Tensor] = []
        for v in range(self.views_per_phase):
            view = levels[v * self.num_levels : (v + 1) * self.num_levels]
            view[-1] = self.context(view[-1])
            for merged in self.pyramid(view):
                features.append(pool(merged))
        return torch.cat(features, dim=1)

    def decide(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse and merge the maps, append the table, and classify."""
        logits = self.head(self.dropout(self.beside_table(self.features(maps, present), clinical)))
        return logits, {"present": present[:, :: self.num_levels]}
