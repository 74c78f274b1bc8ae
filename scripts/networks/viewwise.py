"""Fusion of maps where phases are seen in several views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scripts.networks.parts import Part, build_map_fusion, width_of
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

    def __init__(self, fusion: Part, num_phases: int, num_views: int, in_dim: int) -> None:
        super().__init__()
        self.num_phases = num_phases
        self.num_views = num_views
        self.views = nn.ModuleList(build_map_fusion(fusion, num_phases, in_dim) for _ in range(num_views))
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
