"""Fusion of one feature map per phase, or per view of a phase."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.base import PhaseNetwork
from scripts.networks.parts import Part, build_fusion, width_of
from scripts.networks.presence import pool


class ViewwiseFusion(nn.Module):
    """Fuses the phases view by view, and sets the views side by side.

    A place in an axial plane is no place in a coronal one, so that maps of different views never meet: each
    view has a fusion of its own, whose result is averaged over space.

    Args:
        fusion: constructor (taking ``num_maps`` and ``in_dim``) of a `MapFusion`.
        num_phases: P.
        num_views: V.
        in_dim: C.

    Shape: P V maps [B, C, d, h, w], phases first, and present [B, P V] -> [B, V F, 1, 1, 1], and ``weights``
        [B, P V], the mean over views, where the strategy gives weights.
    """

    def __init__(self, fusion: Part | None, num_phases: int, num_views: int, in_dim: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_views = num_views
        self.views = nn.ModuleList(
            build_fusion(fusion, num_maps=num_phases, in_dim=in_dim) for _ in range(num_views)
        )
        self.out_dim = sum(width_of(view) for view in self.views)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        by_view = present.reshape(-1, self.num_phases, self.num_views)
        fused: list[Tensor] = []
        weights: list[Tensor] = []
        for v, view in enumerate(self.views):
            one, aux = view(maps[v :: self.num_views], by_view[:, :, v])
            fused.append(pool(one))
            if "weights" in aux:
                weights.append(aux["weights"])
        joined = torch.cat(fused, dim=1).unsqueeze(2).unsqueeze(3).unsqueeze(4)
        found: dict[str, Tensor] = {}
        if len(weights) > 0:
            together = torch.stack(weights, dim=2).flatten(1)
            found["weights"] = together / together.sum(dim=1, keepdim=True).clamp_min(1e-30)
        return joined, found


class MapFusionNetwork(PhaseNetwork):
    """Encodes every phase into a feature map, fuses the maps, averages over space and classifies.

    image [B, P, D, H, W] -> encoder -> P maps [B, C, d, h, w] -> fusion -> [B, F, d, h, w]
    -> mean over space -> [B, F] -> head -> logits [B, K]

    The encoded clinical table stands beside the fused features before the last layer, 0 where there is none.
    With V views each view has a fusion of its own, see `ViewwiseFusion`.

    Its arguments are those of `PhaseNetwork`; `fusion` is a `MapFusion` (its constructor takes ``num_maps``
    and ``in_dim``).

    >>> from scripts.networks.fusion import SpatialGated
    >>> from scripts.networks import ResidualEncoder
    >>> network = MapFusionNetwork(ResidualEncoder, SpatialGated, num_phases=3, num_classes=2).eval()
    >>> network(torch.rand(4, 3, 28, 28, 28)).shape
    torch.Size([4, 2])
    """

    def make_head(self, fusion: Part | None, num_classes: int) -> None:
        """Build the fusion, view by view where there are several, and the last layer."""
        if self.num_views > 1:
            self.fusion: nn.Module = ViewwiseFusion(fusion, self.num_phases, self.num_views, self.token_dim)
        else:
            self.fusion = build_fusion(fusion, num_maps=self.num_phases, in_dim=self.token_dim)
        beside = 0 if self.table is None else self.token_dim
        self.head = nn.Linear(width_of(self.fusion) + beside, num_classes)

    def decide(
        self, maps: list[Tensor], present: Tensor, clinical: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse the maps, and set the table beside their mean."""
        fused, outputs = self.fusion(maps, present)
        outputs["present"] = present
        return self.head(self.dropout(self.beside_table(pool(fused), clinical))), outputs
