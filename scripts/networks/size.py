"""The smallest volume an encoder takes."""

from __future__ import annotations

import torch
from torch import Tensor


def check_size(volumes: Tensor, min_size: tuple[int, int, int], encoder: str) -> None:
    """Raise if volumes [N, C, D, H, W] are smaller than an encoder's minimum along an axis.

    Raises:
        ValueError: in one line, with both sizes in voxels.
    """
    if torch.jit.is_tracing():
        return
    d, h, w = volumes.size(2), volumes.size(3), volumes.size(4)
    if d < min_size[0] or h < min_size[1] or w < min_size[2]:
        raise ValueError(
            f"{encoder} needs volumes of at least {min_size[0]} x {min_size[1]} x {min_size[2]} voxels, "
            f"found {d} x {h} x {w}; enlarge `size` or choose a finer `spacing`"
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
