"""Parts of a network, given ready or as constructors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

Part = nn.Module | Callable[..., nn.Module]


def build(part: Part | None, **sizes: int) -> Any:
    """Return a ready part, or None, as it is, or build it from its constructor with its sizes."""
    return part if part is None or isinstance(part, nn.Module) else part(**sizes)


def own(part: Part) -> Part:
    """Return a copy of a ready part; a constructor gives a new one each time."""
    return copy.deepcopy(part) if isinstance(part, nn.Module) else part


def build_fusion(fusion: Part | None, **sizes: int) -> Any:
    """Return the fusion of a strategy that has one.

    Raises:
        ValueError: there is none.
    """
    if fusion is None:
        raise ValueError(
            "this strategy needs a `fusion`, found none in network_def; name one overlay of configs/fusion, "
            "right behind configs/train.yaml"
        )
    return build(fusion, **sizes)


def build_table(table: Part | None, out_dim: int) -> Any:
    """Return the encoder of the clinical table for a strategy that cannot do without.

    Raises:
        ValueError: there is no table.
    """
    if table is None:
        raise ValueError(
            "this strategy reads the clinical table, found no column; name some in `clinical`, or choose "
            "another strategy"
        )
    return build(table, out_dim=out_dim)


def width_of(part: nn.Module) -> int:
    """Return the number of features that an encoder or a fusion gives."""
    return cast(int, part.out_dim)


def maps_per_volume(encoder: nn.Module) -> int:
    """Return how many maps an encoder gives for one volume, as a list; 0: one, as a plain tensor."""
    return int(getattr(encoder, "maps_per_volume", 0))


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
