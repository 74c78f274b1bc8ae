"""Which intensity rule suits a dataset: a HU window for CT, else z-scores, of all phases or of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.data.extents import open_phase
from scripts.data.phase_scale import phase_scales, scale_text, share_scale

PROBED = 5
"""Cases whose voxels are read."""
BELOW_WATER_HU = -50
"""CT has voxels below this everywhere, of fat or air; magnitude images of MR have none."""
WINDOW_HU = (-100.0, 250.0)
"""Soft tissue with and without contrast medium."""


def looks_like_ct(cases: Sequence[dict[str, Any]]) -> bool:
    """Tell whether the first few cases hold Hounsfield units in every phase, by their lowest values.

    Args:
        cases: entries of dataset.json with absolute paths.

    Raises:
        ValueError: a volume that cannot be read.
    """
    for entry in cases[:PROBED]:
        for phase, path in entry["image"].items():
            if open_phase(path, entry["case"], phase).lowest() > BELOW_WATER_HU:
                return False
    return True


def propose_intensity(cases: Sequence[dict[str, Any]], phases: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Choose the transform of the intensities: a window for CT, else z-scores.

    z-scores are of all phases of a case together where these share a scale (see `phase_scales`), which keeps
    what one phase is to another, and of each phase alone where they do not.

    Args:
        cases: entries of dataset.json with absolute paths.
        phases: phases in order.

    Returns:
        the transform, as in the YAML, and why.

    Raises:
        ValueError: a volume that cannot be read.
    """
    if looks_like_ct(cases):
        lower, upper = WINDOW_HU
        target = "scripts.transforms.WindowIntensityd"
        rule = {"_target_": target, "keys": "image", "lower": lower, "upper": upper}
        return rule, "CT: window in HU for the organ at hand; becomes 0 to 1"
    scales = phase_scales(cases, phases) if len(phases) > 1 else []
    joint = share_scale(scales)
    rule = {"_target_": "scripts.transforms.ZScoreIntensityd", "keys": "image", "joint": joint}
    if len(phases) == 1:
        why = "mean and deviation of the region"
    else:
        how = (
            "one mean and deviation for all phases of a case" if joint else "mean and deviation of each phase"
        )
        why = f"{how}, since {scale_text(scales)}"
    return rule | {"statistics": "region"}, f"no CT: {why}"
