"""Masks without a voxel, and regions that lie outside the images."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.quality.finding import Checked, Finding
from scripts.quality.seen import CaseSeen

LEAST_INSIDE = {"mask": 0.9, "box": 0.25}
"""Share of a region that must lie inside each phase; boxes are often drawn generously."""


def region(cases: Sequence[CaseSeen]) -> Checked:
    """Find empty masks and regions too little of which lies inside a phase; wholly outside breaks it."""
    findings, tested = [], 0
    for case in cases:
        for found in case.regions:
            tested += 1
            where = f" ({found.file})" if found.file else ""
            if found.empty:
                what = f"the mask has no voxel above 0{where}"
                remedy = "correct the mask or remove the case"
                findings.append(Finding(case.case, "region", what, remedy, breaks_training=True))
            for phase, share in found.inside.items():
                if share < LEAST_INSIDE[found.kind]:
                    what = f"{share:.0%} of the region's {found.kind}{where} lie inside this phase"
                    remedy = f"correct the position of the {found.kind} or the header of the image"
                    findings.append(Finding(case.case, phase, what, remedy, breaks_training=share == 0))
    return Checked("region inside the images", f"{tested:,} regions", findings)
