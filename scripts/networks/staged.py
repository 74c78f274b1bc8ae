"""Encoders that are a row of layers, some of which end a stage."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from scripts.networks.convolution import guard_convolutions
from scripts.networks.normalisation import guard_normalisation
from scripts.networks.size import check_size


class StagedEncoder(nn.Module):
    """Runs layers one after the other; the results of some of them are the stages, from fine to coarse.

    Args:
        layers: layers by name; the names are those of the library that the layers come from, so that its
            weights can be loaded.
        ends: names of the layers that end a stage; the last layer is the last of them.
        out_dim: channels of the last map.
        smallest: least number of voxels along every axis.
        title: name in messages.
        spatial_dims: 3 for volumes, 2 for planes.

    Attributes:
        min_size: least number of voxels along the three axes; volumes only.

    Shape: [N, in_channels, D, H, W] -> [N, out_dim, d, h, w]; planes without the first axis.

    Raises:
        ValueError: for a volume below the least size.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        ends: Sequence[str],
        out_dim: int,
        smallest: int,
        title: str,
        spatial_dims: int = 3,
    ) -> None:
        super().__init__()
        self.net = nn.Sequential(OrderedDict(layers))
        guard_normalisation(guard_convolutions(self.net))
        names = list(layers)
        self.ends: list[int] = [names.index(end) for end in ends]
        self.out_dim = out_dim
        self.least: list[int] = [smallest] * spatial_dims
        if spatial_dims == 3:
            self.min_size: tuple[int, int, int] = (smallest, smallest, smallest)
        self.title = title

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        check_size(x, self.least, self.title)
        return self.net(x)

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of every stage, from fine to coarse."""
        check_size(x, self.least, self.title)
        found: list[Tensor] = []
        for i, layer in enumerate(self.net):
            x = layer(x)
            if i in self.ends:
                found.append(x)
        return found
