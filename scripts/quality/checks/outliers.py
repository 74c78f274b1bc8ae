"""Volumes whose spacing or intensities differ from those of the cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.data.extents import ras_axes
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, VolumeSeen, volumes_of

LEAST_VOLUMES = 8
"""Volumes of a phase below which nothing is called unusual."""
FAR = 6.0
"""Robust z-score above which a value is called unusual."""
SPACING_FLOOR = 0.125
"""Least deviation of log spacings, so that differences below a factor of 2.1 never count."""
RANGE_FLOOR = 0.2
"""Least deviation of log intensity ranges: differences below a factor of 3.3 never count."""
LEVEL_FLOOR = 0.1
"""Least deviation of levels, as a share of the usual range: shifts below 0.6 of it never count."""


def robust_z(values: np.ndarray, floor: float) -> np.ndarray:
    """Return (x - median) / max(1.4826 MAD, floor) along the first axis.

    1.4826 MAD, the median absolute deviation, is the standard deviation of normally distributed values.

    Reference:
        B. Iglewicz, D. C. Hoaglin. How to detect and handle outliers. ASQC, 1993.

    >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), 0.0).round(1).tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    """
    away = values - np.median(values, axis=0)
    return away / np.maximum(1.4826 * np.median(np.abs(away), axis=0), floor)


def spacing(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose spacing along right-left, front-back or top-bottom is unusual for their phase."""
    findings, tested = [], 0
    for group in _by_phase(cases):
        seen = [one for one in group if one.volume is not None]
        if len(seen) < LEAST_VOLUMES:
            continue
        tested += len(seen)
        spacings = np.array([one.volume.spacing[ras_axes(one.volume)] for one in seen if one.volume])
        far = (np.abs(robust_z(np.log(spacings), SPACING_FLOOR)) > FAR).any(axis=1)
        usual = _product(np.median(spacings, axis=0))
        for index in np.flatnonzero(far):
            what = f"its spacing is {_product(spacings[index])} mm, that of the phase usually {usual} mm"
            remedy = f"look whether it is the right series and its header is right ({seen[index].file})"
            findings.append(Finding(seen[index].case, seen[index].phase, what, remedy))
    return Checked("unusual spacing", _tested(tested), findings)


def intensity(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose intensities, from the 1% to the 99% quantile, have an unusual range or level."""
    findings, tested = [], 0
    for group in _by_phase(cases):
        seen = [one for one in group if one.values is not None and one.values.high > one.values.low]
        if len(seen) < LEAST_VOLUMES:
            continue
        tested += len(seen)
        limits = np.array([[one.values.low, one.values.high] for one in seen if one.values])
        ranges = limits[:, 1] - limits[:, 0]
        levels = limits.mean(axis=1) / np.median(ranges)
        far = np.abs(robust_z(np.log(ranges), RANGE_FLOOR)) > FAR
        far |= np.abs(robust_z(levels, LEVEL_FLOOR)) > FAR
        usual = " to ".join(f"{value:.5g}" for value in np.median(limits, axis=0))
        for index in np.flatnonzero(far):
            found = " to ".join(f"{value:.5g}" for value in limits[index])
            what = f"98% of its voxels lie from {found}, in the phase usually from {usual}"
            remedy = f"look whether it is the right series, scaled like the others ({seen[index].file})"
            findings.append(Finding(seen[index].case, seen[index].phase, what, remedy))
    return Checked("unusual intensities", _tested(tested), findings)


def _by_phase(cases: Sequence[CaseSeen]) -> list[list[VolumeSeen]]:
    groups: dict[str, list[VolumeSeen]] = {}
    for seen in volumes_of(cases):
        groups.setdefault(seen.phase, []).append(seen)
    return list(groups.values())


def _product(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _tested(number: int) -> str:
    return f"{number:,} volumes, of phases with at least {LEAST_VOLUMES}"
