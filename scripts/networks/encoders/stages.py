# SPDX-License-Identifier: Apache-2.0
"""Encoders that are a sequence of layers, some of which end a stage."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from scripts.networks.guarded import guard_convolutions, guard_normalisation, same_size
from scripts.networks.parts import check_size, encode_present, image_channels, maps_per_volume
from torch import Tensor, nn


class StagedEncoder(nn.Module):
    """Runs layers one after the other; the outputs of some of them are the stages, from fine to coarse.

    Args:
        layers: layers by name; the names are those of the library that the layers come from, so that its
            weights can be loaded.
        ends: names of the layers that end a stage; the last layer is the last of them.
        out_dim: channels of the last map.
        smallest: minimum number of voxels along every axis.
        title: name in messages.
        spatial_dims: 3 for volumes, 2 for planes.

    Attributes:
        min_size: minimum number of voxels along the three axes; volumes only.

    Shape: [N, in_channels, D, H, W] -> [N, out_dim, d, h, w]; planes lack the axis D.

    Raises:
        ValueError: a volume below the minimum size.
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


class StageEncoder(nn.Module):
    """Returns the maps of every stage of an encoder, from fine to coarse, instead of the last one alone.

    For an encoder that reads V views, all stages of the first view come first.

    Args:
        encoder: with a method ``stage_maps``.
        in_channels: number of channels that it was built for.

    Attributes:
        maps_per_volume: L, or V L for V views.
        dims: channels of the L maps.
        out_dim: channels of the last map.

    Raises:
        ValueError: an encoder without stages, or one that reads both planes and whole volumes.

    Shape: [N, in_channels, D, H, W] -> a list of [N, C_l, d_l, h_l, w_l].
    """

    def __init__(self, encoder: nn.Module, in_channels: int = 1) -> None:
        super().__init__()
        if not hasattr(encoder, "stage_maps"):
            raise ValueError(
                "fusion at several levels needs an encoder with stages (`stage_maps`), found "
                f"{type(encoder).__name__}; choose one of configs/encoder"
            )
        if getattr(encoder, "volume", None) is not None:
            raise ValueError(
                "fusion at several levels reads whole volumes or planes, found both in `views`; take "
                "`volume` out, or choose another strategy"
            )
        self.encoder: Any = encoder
        self.channels_per_phase = image_channels(encoder)
        self.num_views = max(maps_per_volume(encoder), 1)
        every = _channels_of_stages(encoder, in_channels * self.channels_per_phase)
        self.maps_per_volume = len(every)
        self.dims: list[int] = every[: len(every) // self.num_views]
        self.out_dim: int = self.dims[-1]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the maps of all stages."""
        return self.encoder.stage_maps(x)

    @torch.jit.unused
    def maps_of_present(self, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Encode present volumes only; see `scripts.networks.parts.maps_of_present`.

        Args:
            volumes: [N, c, D, H, W].
            present: [N, maps_per_volume] bool.
        """
        if self.num_views > 1:
            return self.encoder.stage_maps_of_present(volumes, present[:, :: len(self.dims)], self.dims)
        return encode_present(self.encoder, self.encoder.stage_maps, volumes, present[:, 0], self.dims)


@torch.no_grad()
def _channels_of_stages(encoder: Any, in_channels: int) -> list[int]:
    """Return the number of channels of every stage, found by encoding the smallest possible volume."""
    training = encoder.training
    place = next(encoder.parameters()).device
    smallest = torch.zeros(1, in_channels, *encoder.min_size, device=place)
    channels = [maps.size(1) for maps in encoder.eval().stage_maps(smallest)]
    encoder.train(training)
    return channels


class StemmedEncoder(nn.Module):
    """An encoder with stages, before which a small stem at the volume's own size stands as a further one.

    a_0 = relu(norm(conv x)), beside which the encoder reads the volume itself.

    Args:
        encoder: with a method ``stage_maps``.
        in_channels: channels of the volume.
        stem_dim: channels of the stem.
        kernel: of the stem's convolution, voxels, odd.

    Attributes:
        out_dim, min_size: those of the encoder.

    Shape: [N, in_channels, D, H, W] -> [N, out_dim, d, h, w].
    """

    def __init__(self, encoder: Any, in_channels: int, stem_dim: int, kernel: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = nn.Sequential(
            same_size(in_channels, stem_dim, kernel, bias=False), nn.InstanceNorm3d(stem_dim, affine=True), nn.ReLU()
        )
        self.out_dim: int = encoder.out_dim
        self.min_size: tuple[int, int, int] = encoder.min_size

    def forward(self, x: Tensor) -> Tensor:
        """Encode volumes into feature maps."""
        return self.encoder(x)

    @torch.jit.export
    def stage_maps(self, x: Tensor) -> list[Tensor]:
        """Encode volumes into the map of the stem and those of every stage, from fine to coarse."""
        found: list[Tensor] = [self.stem(x)]
        for maps in self.encoder.stage_maps(x):
            found.append(maps)
        return found


@torch.no_grad()
def starts_at_full_size(encoder: Any, size: Sequence[int]) -> bool:
    """Return whether the first stage of an encoder has the voxels of a volume; nothing is computed for it."""
    only_shapes = copy.deepcopy(encoder).to("meta").eval()
    first = only_shapes.stage_maps(torch.zeros(1, 1, *size, device="meta"))[0]
    return list(first.shape[2:]) == list(size)
