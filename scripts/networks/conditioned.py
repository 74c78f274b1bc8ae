"""Phases whose feature maps are seen in the light of the clinical table."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.fusion.base import zero_absent
from scripts.networks.parts import Part, build_table
from scripts.networks.phase_fusion import PhaseFusionNetwork
from scripts.networks.presence import pool


class ConditionedNetwork(PhaseFusionNetwork):
    """Encodes every phase, modulates its feature maps by the clinical table, fuses the phases and classifies.

    image [B, P, D, H, W] -> encoder -> maps [B, P, C, d, h, w] -> conditioning of each phase by the table
    -> averaged over space -> tokens [B, P, C] -> fusion -> [B, F] -> head -> logits [B, K]

    The table is no token: M = P, or P V with V views, each with a conditioning of its own. The maps of a case
    without any clinical value stay as they are.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module that ends in a rectifier.
        conditioning: constructor (taking ``channels`` and ``table_dim``) of `Film` or `Daft`, one per phase.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`.
        fusion: constructor (taking ``num_tokens`` and ``in_dim``) or ready module of `scripts.fusion`.
        num_phases: P.
        num_classes: K.
        share_encoder: one encoder for all phases, or one per phase.
        dropout: fraction of the fused features dropped before the last layer.
        table_dim: width of the encoded table.

    Raises:
        ValueError: without a table, or when the image has another number of phases.
    """

    def __init__(
        self,
        encoder: Part,
        conditioning: Callable[..., nn.Module],
        table: Part | None,
        fusion: Part,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table_dim: int = 32,
    ) -> None:
        super().__init__(encoder, fusion, num_phases, num_classes, share_encoder, dropout=dropout)
        self.table = build_table(table, table_dim)
        if self.table is None:
            raise ValueError(
                "this strategy conditions the images on the clinical table, found no column; name some in "
                "`clinical`, or choose a strategy without a table"
            )
        self.conditioning = nn.ModuleList(
            conditioning(channels=self.token_dim, table_dim=table_dim) for _ in range(self.image_tokens)
        )

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`, with M = P."""
        present = self.seen(image, present)
        maps = self.maps(image, present)
        if torch.jit.is_scripting():
            fused, _ = self.fusion(self.conditioned(maps, present, clinical), present)
            return self.calibration(self.head(self.dropout(fused)).float())
        with torch.autocast(image.device.type, enabled=False):  # last maps are few: float32 costs nothing
            tokens = self.conditioned(maps, present, clinical)
        return self._classify(tokens, present)

    def conditioned(self, maps: list[Tensor], present: Tensor, clinical: Tensor | None) -> Tensor:
        """Condition and average the maps of each phase: -> tokens [B, P, C], 0 where absent."""
        table, there = self.table(clinical, present)
        there = there.reshape(-1, 1, 1, 1, 1)
        tokens: list[Tensor] = []
        for p, conditioning in enumerate(self.conditioning):
            tokens.append(pool(torch.where(there, conditioning(maps[p], table), maps[p])))
        return zero_absent(torch.stack(tokens, dim=1), present)
