"""Fusion at every stage of the encoder, merged from the top down."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_encoder, build_map_fusion, width_of
from scripts.networks.phase_tokens import PhaseTokenNetwork
from scripts.networks.presence import pool
from scripts.networks.pyramid import Context, FeaturePyramid, SkipDecoder
from scripts.networks.several import StageEncoder


class MultiLevelNetwork(PhaseTokenNetwork):
    """Fuses the phases at every stage of the encoder, merges the stages as a pyramid, and classifies.

    image [B, P, D, H, W] -> encoder -> maps of L stages of each phase -> fusion of the phases, one per stage
    -> a_1, ..., a_L -> pyramid, from coarse to fine -> mean over space of each -> [B, L F] -> head -> [B, K]

    Fine stages show edges and small foci, coarse ones what they belong to. With V views each view has its own
    fusions, all pass one pyramid, and their results stand side by side. The encoded clinical table stands
    beside them, 0 where there is none.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module, with stages (`stage_maps`).
        fusion: constructor (taking ``num_maps``, ``in_dim`` and ``out_dim``) of a `MapFusion`, one per stage.
        num_phases: P.
        num_classes: K.
        share_encoder: one encoder for all phases, or one per phase.
        dropout: fraction of the fused features dropped before the last layer.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`; None: no clinical table is read.
        width: F, channels of the pyramid, a multiple of 4.
        skips: merge as the way up of a U-Net, by concatenation, instead of a feature pyramid.
        context: look at the coarsest stage with atrous convolutions first (`Context`).

    Raises:
        ValueError: an encoder without stages, or an image of another number of phases.
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Callable[..., nn.Module],
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
        width: int = 64,
        skips: bool = False,
        context: bool = False,
    ) -> None:
        def staged(in_channels: int) -> nn.Module:
            one = encoder if share_encoder or not isinstance(encoder, nn.Module) else copy.deepcopy(encoder)
            return StageEncoder(build_encoder(one, in_channels), in_channels)

        super().__init__(staged, num_phases, share_encoder, table)
        first = self.encoder if share_encoder else self.encoder[0]
        dims = list(first.dims)
        self.num_levels = len(dims)
        self.views_per_phase = self.num_views // self.num_levels
        self.fusions = nn.ModuleList(
            build_map_fusion(lambda **sizes: fusion(**sizes, out_dim=width), num_phases, dims[level])
            for _ in range(self.views_per_phase)
            for level in range(self.num_levels)
        )
        widths = [width_of(one) for one in self.fusions][: self.num_levels]
        self.context = Context(widths[-1]) if context else nn.Identity()
        self.pyramid = (SkipDecoder if skips else FeaturePyramid)(widths, width)
        self.dropout = nn.Dropout(dropout)
        beside = 0 if self.table is None else self.token_dim
        self.head = nn.Linear(self.num_views * width + beside, num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`, with ``present`` of the image alone."""
        seen = self.seen(image, present)
        maps = self.maps(image, seen)
        if torch.jit.is_scripting():
            features = self.beside_table(self.features(maps, seen), clinical)
            return self.calibration(self.head(self.dropout(features)).float())
        return self._classify(maps, seen, clinical)

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

    @torch.jit.unused
    def _classify(
        self, maps: list[Tensor], seen: Tensor, clinical: Tensor | None
    ) -> Tensor | dict[str, Tensor]:
        with torch.autocast(seen.device.type, enabled=False):
            logits = self.head(self.dropout(self.beside_table(self.features(maps, seen), clinical)))
        if not self.training:
            return self.calibration(logits)
        return {"logits": logits, "present": seen[:, :: self.num_levels]}
