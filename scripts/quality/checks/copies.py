"""The same image in two places."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.data.identical import Pair, Place
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of


def copies(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes with the same voxels; each copy is reported with the first place of the image."""
    first: dict[str, Place] = {}
    findings, tested = [], 0
    for seen in volumes_of(cases):
        if seen.values is None or seen.values.lowest == seen.values.highest:
            continue
        tested += 1
        place = Place(seen.case, seen.patient, seen.split, seen.phase, seen.file)
        other = first.setdefault(seen.values.digest, place)
        if other is place:
            continue
        pair = Pair(other, place)
        what = f"it holds the same voxels as {other}"
        if pair.across:
            what += ", another patient in another split, so that scores would be too good"
        findings.append(Finding(seen.case, seen.phase, what, pair.remedy))
    return Checked("identical volumes", f"{tested:,} volumes", findings)
