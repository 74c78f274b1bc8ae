"""Which phases a case has, and encoding of exactly those."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from scripts.processes import process_count


def presence(image: Tensor, present: Tensor | None = None) -> Tensor:
    """Return which phases are present, [B, P] bool: as told, else those that are not all zero.

    Args:
        image: [B, P, D, H, W].
        present: [B, P], or None.

    >>> presence(torch.tensor([0.0, 1.0, float("nan")]).reshape(1, 3, 1, 1, 1))
    tensor([[False,  True,  True]])
    """
    if present is None:
        return (image != 0).flatten(2).any(dim=2)
    return present.to(device=image.device, dtype=torch.bool)


def pool(maps: Tensor) -> Tensor:
    """Average feature maps [N, C, d, h, w] over space, in float32: [N, C]."""
    return maps.float().mean(dim=[2, 3, 4])


def maps_of_present(encoder: nn.Module, volumes: Tensor, present: Tensor, out_dim: int) -> Tensor:
    """Encode the present volumes only, so that normalisation statistics never see an absent one.

    Args:
        encoder: [n, C, D, H, W] -> feature maps [n, out_dim, d, h, w].
        volumes: [N, C, D, H, W]; what absent ones hold is never read.
        present: [N] bool.
        out_dim: width of the maps.

    Returns:
        Feature maps [N, out_dim, d, h, w] in float32, 0 where absent; of one voxel where all are, unless the
        encoder normalises over several processes, and another has volumes: then it encodes none.
    """
    index = present.nonzero().squeeze(1)
    others_wait = _others_wait(encoder, present)
    if index.numel() == present.numel():
        return encoder(volumes).float()
    if index.numel() == 0 and others_wait:
        with torch.autocast(volumes.device.type, enabled=False):  # the numbers of others are float32, too
            return _in_place(encoder(volumes[index].float()), index, len(volumes))
    if index.numel() == 0:
        return torch.zeros(len(volumes), out_dim, 1, 1, 1, device=volumes.device)
    return _in_place(encoder(volumes[index]).float(), index, len(volumes))


def _in_place(maps: Tensor, index: Tensor, number: int) -> Tensor:
    """Put the maps [n, ...] at their places among `number`, the others are 0: [number, ...]."""
    return maps.new_zeros(number, *maps.shape[1:]).index_copy(0, index, maps)


def _others_wait(encoder: nn.Module, present: Tensor) -> bool:
    """Return whether an encoder normalises over several processes, one of which has a volume for it."""
    if process_count() == 1 or not any(isinstance(part, nn.SyncBatchNorm) for part in encoder.modules()):
        return False
    anywhere = present.any().int()
    distributed.all_reduce(anywhere, distributed.ReduceOp.MAX)
    return bool(anywhere)


def encode_present(encoder: nn.Module, volumes: Tensor, present: Tensor, out_dim: int) -> Tensor:
    """Average the `maps_of_present` over space: tokens [N, out_dim], 0 where absent."""
    return pool(maps_of_present(encoder, volumes, present, out_dim))
