# SPDX-License-Identifier: Apache-2.0
"""Where the heat of a case lies, beside its lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scripts.volumes.grid import sample_volume
from scripts.volumes.original_grid import GridVolume
from scripts.volumes.volume import Volume


@dataclass(frozen=True)
class Localisation:
    """Where the heat of one case lies, of all its phases together."""

    lesion: float  # mean heat within the lesion
    background: float  # mean heat around it, within the region that the network sees
    hottest_phase: int  # index of the phase with the hottest voxel
    distance: float  # mm from the hottest voxel to the lesion, 0 within it


def lesion_volume(mask: Volume, labels: Sequence[int] | None = None) -> GridVolume:
    """Return a mask as a volume of 0 and 1.

    Args:
        mask: the lesion mask as opened from its file.
        labels: values that are lesion; None: all above 0.
    """
    values = mask.read()
    inside = values > 0 if labels is None else np.isin(values, list(labels))
    return GridVolume(inside.astype(np.float32), mask.affine)


def localise(heat: np.ndarray, lesion: Volume, inside: np.ndarray, grid_affine: np.ndarray) -> Localisation | None:
    """Compare the heat in the lesion with that around it.

    Args:
        heat: of each phase on the network's grid; higher is hotter.
        lesion: 1 in the lesion, 0 elsewhere.
        inside: voxels that show something, in phases that are there.
        grid_affine: index of the network's grid -> mm, [4, 4].

    Shape: heat [P, D, H, W], inside [P, D, H, W] bool.

    Returns:
        None where no voxel is lesion, or none is background.
    """
    from scipy.ndimage import distance_transform_edt

    size = (heat.shape[1], heat.shape[2], heat.shape[3])
    there = sample_volume(lesion, grid_affine, size)[0] >= 0.5
    within, around = inside & there, inside & ~there
    if not within.any() or not around.any():
        return None
    phase, *voxel = np.unravel_index(np.where(inside, heat, -np.inf).argmax(), heat.shape)
    distance = distance_transform_edt(~there, sampling=np.linalg.norm(grid_affine[:3, :3], axis=0))
    return Localisation(
        float(heat[within].mean()), float(heat[around].mean()), int(phase), float(distance[tuple(voxel)])
    )
