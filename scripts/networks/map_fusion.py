"""One feature map per phase, then a fusion strategy over maps, then the classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.calibration import Calibration
from scripts.networks.parts import Part, build_map_fusion, width_of
from scripts.networks.phase_tokens import PhaseTokenNetwork
from scripts.networks.presence import pool
from scripts.networks.viewwise import ViewwiseFusion


class MapFusionNetwork(PhaseTokenNetwork):
    """Encodes every phase into a feature map, fuses the maps, averages over space and classifies.

    image [B, P, D, H, W] -> encoder -> P maps [B, C, d, h, w] -> fusion -> [B, F, d, h, w]
    -> mean over space -> [B, F] -> head -> logits [B, K]

    The encoded clinical table stands beside the fused features before the last layer, 0 where there is none.
    With V views each view has a fusion of its own, see `ViewwiseFusion`.

    Args:
        encoder: constructor (taking ``in_channels``) or ready module.
        fusion: constructor (taking ``num_maps`` and ``in_dim``) or ready `MapFusion`.
        num_phases: P.
        num_classes: K.
        share_encoder: one encoder for all phases, or one per phase.
        dropout: fraction of the fused features dropped before the last layer.
        table: constructor (taking ``out_dim``) or ready `TableEncoder`; None: no clinical table is read.

    Raises:
        ValueError: when the image has another number of phases.

    >>> from scripts.fusion import SpatialGated
    >>> from scripts.networks import ResidualEncoder
    >>> network = MapFusionNetwork(ResidualEncoder, SpatialGated, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: Part,
        fusion: Part,
        num_phases: int,
        num_classes: int,
        share_encoder: bool = True,
        dropout: float = 0.0,
        table: Part | None = None,
    ) -> None:
        super().__init__(encoder, num_phases, share_encoder, table)
        if self.num_views > 1:
            self.fusion: nn.Module = ViewwiseFusion(fusion, num_phases, self.num_views, self.token_dim)
        else:
            self.fusion = build_map_fusion(fusion, num_phases, self.token_dim)
        self.dropout = nn.Dropout(dropout)
        beside = 0 if self.table is None else self.token_dim
        self.head = nn.Linear(width_of(self.fusion) + beside, num_classes)
        self.calibration = Calibration(num_classes)

    def forward(
        self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Classify; arguments and results as in `PhaseFusionNetwork`, with ``present`` of the image alone."""
        present = self.seen(image, present)
        maps = self.maps(image, present)
        if torch.jit.is_scripting():
            fused, _ = self.fusion(maps, present)
            features = self.beside_table(pool(fused), clinical)
            return self.calibration(self.head(self.dropout(features)).float())
        return self._classify(maps, present, clinical)

    @torch.jit.unused
    def _classify(
        self, maps: list[Tensor], present: Tensor, clinical: Tensor | None
    ) -> Tensor | dict[str, Tensor]:
        with torch.autocast(present.device.type, enabled=False):  # last maps are few: float32 costs nothing
            fused, aux = self.fusion(maps, present)
            logits = self.head(self.dropout(self.beside_table(pool(fused), clinical)))
        if not self.training:
            return self.calibration(logits)
        return {"logits": logits, "present": present, **aux}
