"""Parts of a network, given ready or as constructors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

Part = nn.Module | Callable[..., nn.Module]


def build_encoder(encoder: Part, in_channels: int) -> nn.Module:
    """Return a ready encoder as it is, or build one for `in_channels` from its constructor."""
    return encoder if isinstance(encoder, nn.Module) else encoder(in_channels=in_channels)


def build_encoders(encoder: Part, count: int) -> nn.ModuleList:
    """Return `count` encoders of one channel: each with its own initial weights, or copies of a ready one."""
    if isinstance(encoder, nn.Module):
        return nn.ModuleList(copy.deepcopy(encoder) for _ in range(count))
    return nn.ModuleList(encoder(in_channels=1) for _ in range(count))


def build_fusion(fusion: Part, num_tokens: int, in_dim: int) -> nn.Module:
    """Return a ready fusion as it is, or build one for `num_tokens` tokens of width `in_dim`."""
    return fusion if isinstance(fusion, nn.Module) else fusion(num_tokens=num_tokens, in_dim=in_dim)


def build_map_fusion(fusion: Part, num_maps: int, in_dim: int) -> nn.Module:
    """Return a ready fusion of maps as it is, or build one for `num_maps` maps of `in_dim` channels."""
    return fusion if isinstance(fusion, nn.Module) else fusion(num_maps=num_maps, in_dim=in_dim)


def build_combination(combination: Part, num_phases: int, num_classes: int) -> nn.Module:
    """Return a ready fusion of decisions as it is, or build one for `num_phases` and `num_classes`."""
    if isinstance(combination, nn.Module):
        return combination
    return combination(num_phases=num_phases, num_classes=num_classes)


def width_of(part: nn.Module) -> int:
    """Return the number of features that an encoder or a fusion gives."""
    return cast(int, part.out_dim)


def maps_per_volume(encoder: nn.Module) -> int:
    """Return how many maps an encoder gives for one volume, as a list; 0: one, as a plain tensor."""
    return int(getattr(encoder, "maps_per_volume", 0))


def build_table(table: Part | None, out_dim: int) -> nn.Module | None:
    """Return a ready encoder of the clinical table, or build one of `out_dim` features; None: no table."""
    return table if table is None or isinstance(table, nn.Module) else table(out_dim=out_dim)


def check_size(volumes: Tensor, least: list[int], encoder: str) -> None:
    """Raise if volumes [N, C, D, H, W], or planes [N, C, H, W], are smaller than an encoder's minimum.

    Args:
        volumes: the batch.
        least: voxels along each axis.
        encoder: name of the encoder.

    Raises:
        ValueError: in one line, with both sizes in voxels.
    """
    if torch.jit.is_tracing():
        return
    size = list(volumes.shape)[2:]
    small = False
    for axis in range(len(least)):
        small = small or size[axis] < least[axis]
    if small:
        needed, found = [str(n) for n in least], [str(n) for n in size]
        raise ValueError(
            f"{encoder} needs volumes of at least {' x '.join(needed)} voxels, "
            f"found {' x '.join(found)}; enlarge `grid_size`, with a finer `spacing` if the region is small"
        )


def check_phases(image: Tensor, num_phases: int, channels: int = 1) -> None:
    """Raise unless the image [B, P, D, H, W] has the number of phases that a network was built for.

    Args:
        image: the batch.
        num_phases: P.
        channels: of the image for each phase: 1, or the number of views where they are given as images.

    Raises:
        ValueError: in one line, with both numbers.
    """
    if torch.jit.is_tracing():
        return
    if image.dim() != 5 or image.size(1) != num_phases * channels:
        raise ValueError(
            f"the network was built for images [B, {num_phases * channels}, D, H, W], found shape "
            f"{list(image.shape)}; "
            "`phases` of the configuration must be those of the data"
        )
