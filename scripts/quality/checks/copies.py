"""The same image in two places."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.data.identical import Pair, Place
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of


def copies(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes with the same voxels; two cases that share several images are reported once."""
    first: dict[str, Place] = {}
    pairs: dict[tuple[str, str], list[Pair]] = {}
    tested = 0
    for seen in volumes_of(cases):
        if seen.values is None or seen.values.lowest == seen.values.highest:
            continue
        tested += 1
        place = Place(seen.case, seen.patient, seen.split, seen.phase, seen.file)
        other = first.setdefault(seen.values.digest, place)
        if other is place:
            continue
        pairs.setdefault((other.case, seen.case), []).append(Pair(other, place))
    findings = []
    for pair, *others in pairs.values():
        what = f"it holds the same voxels as {pair.first}"
        if others:
            what += "; so do " + ", ".join(f"{p.second.phase!r} and {p.first.phase!r}" for p in others)
        if any(one.across for one in (pair, *others)):
            what += ", another patient in another split, so that scores would be too good"
        findings.append(Finding(pair.second.case, pair.second.phase, what, pair.remedy))
    return Checked("identical volumes", f"{tested:,} volumes", findings)
