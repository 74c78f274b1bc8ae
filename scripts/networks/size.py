"""The smallest volume an encoder takes."""

from __future__ import annotations

import torch
from torch import Tensor


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
