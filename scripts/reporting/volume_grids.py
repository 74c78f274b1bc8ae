"""The voxels of the volumes as they lie on disk, from their headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.data.document import Item
from scripts.data.extents import open_phase, ras_axes

MOST_HEADERS = 300
"""Volumes whose headers are read per phase; of more, this many spread evenly over the list."""


def volume_grids(items: Sequence[Item], phases: Sequence[str]) -> dict[str, Any]:
    """Read spacing and number of voxels along right, anterior and superior for each phase.

    Args:
        items: cases with absolute paths.
        phases: phases in order.

    Returns:
        For each phase `present` (volumes), `n` (headers read), `spacing` in mm and `voxels`, each a list of
        [minimum, median, maximum] per axis; where none can be read, `reason` instead of the last two. Where
        some cannot, `unreadable` counts them.
    """
    return {phase: _grids_of_phase(items, phase) for phase in phases}


def _grids_of_phase(items: Sequence[Item], phase: str) -> dict[str, Any]:
    present = [item for item in items if phase in item["image"]]
    if not present:
        return {"present": 0, "n": 0, "reason": "no case has this phase"}
    chosen = np.unique(np.linspace(0, len(present) - 1, min(len(present), MOST_HEADERS)).round().astype(int))
    spacings, voxels, errors = [], [], []
    for index in chosen:
        item = present[index]
        try:
            volume = open_phase(item["image"][phase], item["case"], phase)
        except (OSError, ValueError) as error:
            errors.append(" ".join(str(error).split()))
            continue
        axes = ras_axes(volume)
        spacings.append(volume.spacing[axes])
        voxels.append(np.array(volume.shape)[axes])
    found: dict[str, Any] = {"present": len(present), "n": len(spacings)}
    if errors:
        found["unreadable"] = len(errors)
    if not spacings:
        return found | {"reason": errors[0]}
    return found | {"spacing": _ranges(spacings, 3), "voxels": _ranges(voxels, 1)}


def _ranges(values: Sequence[np.ndarray], digits: int) -> list[list[float]]:
    """Return [minimum, median, maximum] of each axis."""
    columns = np.quantile(np.stack(values).astype(float), [0, 0.5, 1], axis=0).T
    return [[round(float(value), digits) for value in axis] for axis in columns]
