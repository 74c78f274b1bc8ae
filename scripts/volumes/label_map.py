# SPDX-License-Identifier: Apache-2.0
"""Label maps, the structure at each voxel, brought to other grids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scripts.volumes.grid import Size, sample_volume
from scripts.volumes.original_grid import GridVolume, block_around
from scripts.volumes.volume import Volume
from torch import Tensor

NOT_DRAWN = 255
"""Value of every voxel of a mask that a case does not have."""


def label_maps(logits: Tensor, masks: int) -> Tensor:
    """Return the most likely structure at every voxel: logits [..., M (S + 1), D, H, W] -> [..., M, D, H, W]."""
    return logits.unflatten(-4, (masks, -1)).argmax(dim=-4)


def read_label_map(volume: Volume) -> np.ndarray:
    """Read whole numbers, which a file may have scaled, as uint8 [X, Y, Z]."""
    return np.round(volume.read()).astype(np.uint8)


def united(maps: Iterable[np.ndarray]) -> np.ndarray:
    """Return what any of several label maps of one grid shows, where they differ the first that shows something.

    >>> united([np.array([0, 1, 0]), np.array([2, 2, 0])]).tolist()
    [2, 1, 0]
    """
    first, *others = maps
    for other in others:
        first = np.where(first == 0, other, first)
    return first


def sample_labels(
    labels: np.ndarray, affine: np.ndarray, grid: np.ndarray, size: Size, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a label map shows at the points of a grid: uint8, and which points it covers, bool.

    Each label is interpolated as a volume of 0 and 1 (trilinear), and the largest value wins, background
    included: edges stay smooth where the grid is another one, and a grid of the same points gives a copy.

    Args:
        labels: uint8 [X, Y, Z], values up to `most`.
        affine: index of the labels -> mm, [4, 4].
        grid: index of the grid -> mm, [4, 4].
        size: points along D, H, W.
    """
    return _likeliest(((labels == value).astype(np.float32) for value in range(most + 1)), affine, grid, size)


def on_original_voxels(probabilities: np.ndarray, grid: np.ndarray, volume: Volume) -> np.ndarray:
    """Return the most probable structure at every voxel of an original volume, 0 beyond the grid.

    The probabilities are interpolated (trilinear), not the labels, so that edges are as fine as these voxels.

    Args:
        probabilities: [S + 1, D, H, W] on the network's grid, background first.
        grid: its index -> mm, [4, 4].
        volume: as opened from its file; its voxels are not read.

    Returns:
        uint8, of the volume's shape.
    """
    block = block_around(GridVolume(probabilities[0], grid), volume)
    corner = volume.affine.copy()
    corner[:3, 3] += volume.affine[:3, :3] @ [part.start for part in block]
    size = (block[0].stop - block[0].start, block[1].stop - block[1].start, block[2].stop - block[2].start)
    found = np.zeros(volume.shape, dtype=np.uint8)
    found[block], _ = _likeliest(probabilities, grid, corner, size)
    return found


def _likeliest(
    shares: Iterable[np.ndarray], affine: np.ndarray, grid: np.ndarray, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of several volumes is the largest at each point of a grid, of equal ones the first; 0 outside."""
    found, best, inside = np.zeros(size, dtype=np.uint8), np.zeros(0), np.zeros(size, dtype=bool)
    for value, share in enumerate(shares):
        values, inside = sample_volume(GridVolume(share, affine), grid, size)
        if value:
            found[inside & (values > best)] = value
        best = np.maximum(best, values) if value else values
    return found, inside
