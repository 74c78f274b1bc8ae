"""Slices that are there twice, and slices between which something is missing."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of
from scripts.quality.slices import LEAST_SLICES

AXES = ("first", "second", "third")


def repeated(cases: Sequence[CaseSeen]) -> Checked:
    """Find neighbouring slices with the same voxels, along any axis of the file."""
    findings, tested = [], 0
    for seen in volumes_of(cases):
        if seen.values is None:
            continue
        tested += 1
        for axis, slices in seen.values.repeated.items():
            if slices:
                what = f"{_listed(slices)} along the {AXES[axis]} axis of {seen.file}"
                remedy = "convert the series again; a slice was written twice in place of another"
                findings.append(Finding(seen.case, seen.phase, what, remedy))
    return Checked("repeated slices", f"{tested:,} volumes", findings)


def missing(cases: Sequence[CaseSeen]) -> Checked:
    """Find abrupt changes between neighbouring slices along the axis with the largest spacing."""
    findings, tested = [], 0
    for seen in volumes_of(cases):
        if seen.values is None or seen.values.jumps is None:
            continue
        axis = seen.values.slice_axis
        tested += 1
        if seen.values.jumps:
            pairs = ", ".join(f"{index} and {index + 1}" for index in seen.values.jumps[:3])
            what = f"the image changes abruptly between slices {pairs} along the {AXES[axis]} axis"
            remedy = f"look for missing, misplaced or damaged slices and convert it again ({seen.file})"
            findings.append(Finding(seen.case, seen.phase, what, remedy))
    return Checked(
        "missing slices", f"{tested:,} volumes, grey ones with at least {LEAST_SLICES} slices", findings
    )


def _listed(slices: Sequence[int]) -> str:
    more = f" and {len(slices) - 1} more pairs of neighbours" if len(slices) > 1 else ""
    return f"slices {slices[0]} and {slices[0] + 1}{more} are identical"
