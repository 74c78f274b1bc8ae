"""Another phase may lead at every place."""

from __future__ import annotations

import torch
from torch import Tensor

from scripts.networks.fusion.base import MapFusion, align, softmax_over_present
from scripts.networks.guarded import GuardedConv3d


class SpatialGated(MapFusion):
    """Lets the phases share out every place among them, by what all of them show there.

    g_m(x)   = softmax over present m of (w_m [a_1(x), ..., a_M(x)] + b_m)        at every place x
    h_m      = relu(V_m a_m + c_m)                                                a 1 x 1 x 1 layer per phase
    fused(x) = sum over present m of g_m(x) h_m(x);  0 when none is present

    The layers V_m tell the phases apart behind an encoder that all of them share. The weights that are
    reported are the gates' mean over space.

    Args:
        num_maps: M.
        in_dim: C.
        out_dim: F; None: C.

    Shape: M maps [B, C, d, h, w], present [B, M] -> [B, F, d, h, w] with ``weights`` [B, M] and ``gates``
        [B, M, d, h, w], which sum to 1 at every place.

    Reference: Arevalo et al., Gated multimodal units for information fusion, ICLR workshop 2017.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int | None = None) -> None:
        super().__init__(num_maps, in_dim, out_dim or in_dim)
        self.gate = GuardedConv3d(num_maps * in_dim, num_maps, 1)
        self.layers = GuardedConv3d(num_maps * in_dim, num_maps * self.out_dim, 1, groups=num_maps)

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse."""
        joined = align(maps, present).flatten(1, 2)
        scores = self.gate(joined)
        there = present.reshape(-1, self.num_maps, 1, 1, 1).expand_as(scores)
        gates = softmax_over_present(scores, there)
        said = torch.relu(self.layers(joined))
        said = said.reshape([-1, self.num_maps, self.out_dim, said.size(2), said.size(3), said.size(4)])
        fused = (gates.unsqueeze(2) * said).sum(dim=1)
        return fused, {"weights": gates.mean(dim=[2, 3, 4]), "gates": gates}
