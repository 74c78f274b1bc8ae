"""Masks in several pieces, and masks whose values are none of a mask."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.data.cut_regions import percent
from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen

MOST_SHARES = 5


def pieces(cases: Sequence[CaseSeen]) -> Checked:
    """Find masks of several pieces, unless most masks are, and masks of other values than whole numbers."""
    masks = [(case.case, found) for case in cases for found in case.regions if found.kind == "mask"]
    several = [(case, found) for case, found in masks if len(found.pieces) > 1]
    findings = []
    for case, found in several if 2 * len(several) <= len(masks) else []:
        shares = ", ".join(percent(share) for share in found.pieces[:MOST_SHARES])
        more = ", ..." if len(found.pieces) > MOST_SHARES else ""
        what = f"its mask has {len(found.pieces)} separate pieces, of {shares}{more} of its volume"
        remedy = (
            "the grid shows the largest, with those that fit into it (component: largest); raise "
            f"grid_size to see more, or correct the mask ({found.file})"
        )
        findings.append(Finding(case, "region", what, remedy))
    for case, found in masks:
        if not found.whole_numbers and not found.empty and not found.problem:
            what = "its mask holds one value alone, or other values than few whole numbers"
            remedy = f"all voxels above 0 count: see whether it is a mask and not an image ({found.file})"
            findings.append(Finding(case, "region", what, remedy))
    tested = f"{len(masks):,} masks"
    if 2 * len(several) > len(masks):
        tested += f", {len(several)} in several pieces, as is usual here"
    return Checked("pieces and values of masks", tested, findings)
