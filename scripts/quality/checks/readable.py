"""Files that cannot be read as a 3D volume."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of


def readable(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes and masks that are missing, truncated, not 3D, too large or otherwise unreadable."""
    volumes = list(volumes_of(cases))
    masks = [(case.case, region) for case in cases for region in case.regions if region.kind == "mask"]
    places = [(seen.case, seen.phase, seen.problem) for seen in volumes]
    places += [(case, "region", region.problem) for case, region in masks]
    findings = []
    for case, phase, problem in places:
        if problem:
            what, _, remedy = problem.rpartition("; ")
            findings.append(Finding(case, phase, what, remedy, breaks_training=True))
    return Checked("readable", f"{len(volumes):,} volumes, {len(masks):,} masks", findings)
