"""Parts of a network, given ready or as constructors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

from torch import nn

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
