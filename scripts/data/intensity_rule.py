"""Which intensity rule suits a dataset: a HU window for CT, z-scores for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.data.extents import open_phase

PROBED = 5
"""Cases whose voxels are read."""
BELOW_WATER_HU = -50
"""CT has voxels below this everywhere, of fat or air; magnitude images of MR have none."""
WINDOW_HU = (-100.0, 250.0)
"""Soft tissue with and without contrast medium."""


def looks_like_ct(cases: Sequence[dict[str, Any]]) -> bool:
    """Tell whether the first few cases hold Hounsfield units, by their lowest values.

    Args:
        cases: entries of dataset.json with absolute paths.

    Raises:
        ValueError: a volume that cannot be read.
    """
    for entry in cases[:PROBED]:
        phase, path = next(iter(entry["image"].items()))
        if open_phase(path, entry["case"], phase).read_image().min() > BELOW_WATER_HU:
            return False
    return True


def propose_intensity(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the transform of the intensities, as in the YAML."""
    if looks_like_ct(cases):
        lower, upper = WINDOW_HU
        target = "scripts.transforms.WindowIntensityd"
        return {"_target_": target, "keys": "image", "lower": lower, "upper": upper}
    target = "scripts.transforms.ZScoreIntensityd"
    return {"_target_": target, "keys": "image", "joint": True, "statistics": "region"}
