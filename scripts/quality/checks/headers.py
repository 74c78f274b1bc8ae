"""What was assumed to read the files, since their headers leave it open or say it in two ways."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.data.note import MOST_LISTED
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen, volumes_of

REMEDY = "see whether that is right, else correct the headers or convert the files again"


def headers(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes that were read by an assumption; those of a phase with the same one are told together."""
    told: dict[tuple[str, str], list[str]] = {}
    tested = 0
    for seen in volumes_of(cases):
        if seen.volume is not None:
            tested += 1
            for remark in seen.volume.remarks:
                told.setdefault((seen.phase, remark), []).append(seen.case)
    findings = []
    for (phase, remark), names in told.items():
        more = f", ... ({len(names)} in all)" if len(names) > MOST_LISTED else ""
        findings.append(Finding(", ".join(names[:MOST_LISTED]) + more, phase, remark, REMEDY))
    return Checked("headers that leave something open", f"{tested:,} volumes", findings)
