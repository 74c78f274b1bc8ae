"""What every fusion strategy over feature maps shares."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.fusion.base import zero_absent


class MapFusion(nn.Module):
    """Fuses the feature maps of a case into one map. Every strategy is a sub-class in its own file.

    The contract, held by one test over all strategies, is that of `TokenFusion` with maps for tokens:

    * ``forward(maps, present [B, M] bool)`` takes a list of M maps [B, C, d, h, w], whose sizes may differ,
      and returns one map [B, F, d, h, w] and a dict, maybe empty, of further results; ``weights`` [B, M] sum
      to 1 over the present maps;
    * what an absent map holds, even NaN, changes neither results nor gradients: `align` sees to that;
    * cases do not influence each other: no batch normalisation;
    * it scripts, and knows `out_dim`.

    Args:
        num_maps: M, the number of maps (phases, or phases times views).
        in_dim: C, the channels of a map.
        out_dim: F, the channels of the fused map.
    """

    def __init__(self, num_maps: int, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.num_maps = num_maps
        self.in_dim = in_dim
        self.out_dim = out_dim

    def forward(self, maps: list[Tensor], present: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Fuse M maps [B, C, d, h, w] into one [B, F, d, h, w]."""
        raise NotImplementedError


def align(maps: list[Tensor], present: Tensor) -> Tensor:
    """Bring maps onto one grid, the finest of each axis, by trilinear interpolation.

    Args:
        maps: M maps [B, C, d, h, w], each of its own size.
        present: [B, M] bool.

    Returns:
        [B, M, C, d, h, w], 0 where absent.

    >>> maps = [torch.ones(1, 2, 4, 4, 1), torch.ones(1, 2, 2, 2, 3)]
    >>> align(maps, torch.tensor([[True, True]])).shape
    torch.Size([1, 2, 2, 4, 4, 3])
    """
    size = [0, 0, 0]
    for one in maps:
        for axis in range(3):
            size[axis] = max(size[axis], one.size(axis + 2))
    aligned: list[Tensor] = []
    for m, one in enumerate(maps):
        clean = zero_absent(one, present[:, m])
        if [one.size(2), one.size(3), one.size(4)] != size:
            clean = functional.interpolate(clean, size=size, mode="trilinear", align_corners=False)
        aligned.append(clean)
    return torch.stack(aligned, dim=1)
