"""Voxels without a number, and volumes without contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of


def finite(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes with NaN or infinite voxels; the loader refuses them."""
    findings, tested = [], 0
    for seen in volumes_of(cases):
        if seen.volume is None or seen.problem:
            continue
        tested += 1
        count = math.prod(seen.volume.shape)
        lost = count if seen.values is None else seen.values.not_finite
        if lost:
            what = (
                f"{lost:,} of {count:,} voxels ({100 * lost / count:.3g}%) are NaN or infinite in {seen.file}"
            )
            remedy = "export it again, replace these voxels, or take the phase out of the case"
            findings.append(Finding(seen.case, seen.phase, what, remedy, breaks_training=True))
    return Checked("NaN or infinite voxels", f"{tested:,} volumes", findings)


def constant(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose voxels all have one value; the loader refuses them."""
    findings, tested = [], 0
    for seen in volumes_of(cases):
        if seen.values is None:
            continue
        tested += 1
        if seen.values.lowest == seen.values.highest:
            what = f"all voxels are {seen.values.lowest:g} in {seen.file}"
            remedy = "export it again or take the phase out of the case"
            findings.append(Finding(seen.case, seen.phase, what, remedy, breaks_training=True))
    return Checked("empty or constant volume", f"{tested:,} volumes", findings)
