# SPDX-License-Identifier: Apache-2.0
"""Building blocks: which phases a case has, encoding only those, and parts given as modules or constructors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from scripts.files.processes import process_count
from torch import Tensor, distributed, nn


def presence(image: Tensor, present: Tensor | None = None) -> Tensor:
    """Return which phases are present, [B, P] bool: as given, else those that are not all zero.

    Args:
        image: [B, P, D, H, W].
        present: [B, P], or None.

    >>> presence(torch.tensor([0.0, 1.0, float("nan")]).reshape(1, 3, 1, 1, 1))
    tensor([[False,  True,  True]])
    """
    if present is None:
        return (image != 0).flatten(2).any(dim=2)
    return present.to(device=image.device, dtype=torch.bool)


def image_channels(encoder: nn.Module) -> int:
    """Return how many image channels an encoder reads per phase: 1, or V where views come as images."""
    return int(getattr(encoder, "channels_per_phase", 1))


def token_presence(image: Tensor, present: Tensor | None, num_phases: int, num_views: int, channels: int) -> Tensor:
    """Return which tokens of an image are present, [B, P V] bool, ordered by phase, then by view.

    Views cut from volumes (`channels` = 1) are present where their phase is. Views that come as images
    (`channels` = V) may be missing one by one: a missing view of a present phase holds zeros, or `present` has
    a column for each view.

    Args:
        image: [B, P channels, D, H, W].
        present: [B, P], or [B, P V] where views come as images; None: what is not all zero is present.
        num_phases: P.
        num_views: V, or a multiple of it where there are several tokens per view.
        channels: channels of the image per phase, 1 or V.

    >>> image = torch.tensor([1.0, 0.0, 1.0, 1.0]).reshape(1, 4, 1, 1, 1)
    >>> token_presence(image, torch.tensor([[True, False]]), num_phases=2, num_views=2, channels=2)
    tensor([[ True, False, False, False]])
    """
    found = presence(image, present)
    if channels == 1:
        return found.repeat_interleave(num_views, dim=1) if num_views > 1 else found
    if found.size(1) == num_phases:
        found = found.repeat_interleave(channels, dim=1) & presence(image)
    return found.repeat_interleave(num_views // channels, dim=1)


def by_channel(present: Tensor, channels: int) -> Tensor:
    """Repeat the presence of each phase for all of its image channels: [B, P] -> [B, channels].

    >>> by_channel(torch.tensor([[True, False]]), 4)
    tensor([[ True,  True, False, False]])
    """
    return present.repeat_interleave(channels // present.size(1), dim=1)


def pool(maps: Tensor) -> Tensor:
    """Average feature maps [N, C, d, h, w] over space, in float32: [N, C]."""
    return maps.float().mean(dim=[2, 3, 4])


def maps_of_present(encoder: nn.Module, volumes: Tensor, present: Tensor, out_dim: int) -> Tensor:
    """Encode the present volumes only, so that normalisation statistics never include an absent one.

    Args:
        encoder: [n, C, D, H, W] -> feature maps [n, out_dim, d, h, w].
        volumes: [N, C, D, H, W]; absent ones are never read.
        present: [N] bool.
        out_dim: channels of the maps.

    Returns:
        Feature maps [N, out_dim, d, h, w] in float32, 0 where absent. If all are absent, the maps are a single
        voxel; but if the encoder synchronises its normalisation with processes that do have volumes, it runs
        on an empty batch, since they wait for it.
    """
    return encode_present(encoder, lambda some: [encoder(some).float()], volumes, present, [out_dim])[0]


def encode_present(
    encoder: nn.Module, encode: Callable[[Tensor], list[Tensor]], volumes: Tensor, present: Tensor, dims: Sequence[int]
) -> list[Tensor]:
    """Encode the present volumes into one or more maps each; see `maps_of_present`.

    Args:
        encoder: what normalises.
        encode: [n, C, D, H, W] -> maps [n, dims_l, d_l, h_l, w_l].
    """
    index = present.nonzero().squeeze(1)
    waited_for = others_wait(encoder, present)
    if index.numel() == present.numel():
        return encode(volumes)
    if index.numel() == 0 and waited_for:
        with torch.autocast(volumes.device.type, enabled=False):  # the other processes exchange float32, too
            return [scatter(maps, index, len(volumes)) for maps in encode(volumes[index].float())]
    if index.numel() == 0:
        return [torch.zeros(len(volumes), dim, 1, 1, 1, device=volumes.device) for dim in dims]
    return [scatter(maps, index, len(volumes)) for maps in encode(volumes[index])]


def others_wait(encoder: nn.Module, present: Tensor) -> bool:
    """Return whether an encoder synchronises its normalisation with a process that has a volume for it."""
    if process_count() == 1 or not any(isinstance(part, nn.SyncBatchNorm) for part in encoder.modules()):
        return False
    anywhere = present.any().int()
    distributed.all_reduce(anywhere, distributed.ReduceOp.MAX)
    return bool(anywhere)


def scatter(maps: Tensor, index: Tensor, count: int) -> Tensor:
    """Place maps [n, ...] at the positions `index` [n] of `count` rows, 0 elsewhere."""
    return maps.new_zeros(count, *maps.shape[1:]).index_copy(0, index, maps)


Part = nn.Module | Callable[..., nn.Module]


def build(part: Part | None, **sizes: int) -> Any:
    """Build a part from its constructor with the given sizes; return a ready module, or None, unchanged."""
    return part if part is None or isinstance(part, nn.Module) else part(**sizes)


def own(part: Part) -> Part:
    """Return a copy of a ready part; a constructor, which makes a new one each time, is returned as it is."""
    return copy.deepcopy(part) if isinstance(part, nn.Module) else part


def build_fusion(fusion: Part | None, **sizes: int) -> Any:
    """Build the fusion of a strategy that needs one.

    Raises:
        ValueError: none is given.
    """
    if fusion is None:
        raise ValueError(
            "this strategy needs a `fusion`, found none in network_def; name one overlay of configs/fusion, "
            "right behind configs/train.yaml"
        )
    return build(fusion, **sizes)


def build_table(table: Part | None, out_dim: int) -> Any:
    """Build the encoder of the clinical table for a strategy that needs one.

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
    """Return the number of features that an encoder or a fusion outputs."""
    return cast(int, part.out_dim)


def maps_per_volume(encoder: nn.Module) -> int:
    """Return how many maps an encoder returns as a list for one volume; 0 means a single plain tensor."""
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
