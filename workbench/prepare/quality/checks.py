# SPDX-License-Identifier: Apache-2.0
"""The checks of single volumes and cases; `CHECKS` lists all of them in the order of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scripts.cases.checks import percent
from scripts.files.plain_text import MOST_LISTED
from scripts.volumes.grid import field_of_view, frame_axes
from scripts.volumes.volume import Volume
from workbench.prepare.identical import Pair
from workbench.prepare.quality.cohort import Checked, Finding, intensity, orientation, spacing
from workbench.prepare.quality.seen import LEAST_SLICES, CaseSeen, Values, VolumeSeen, volumes_of


def copies(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes with the same voxels; two cases that share several images are reported once."""
    first: dict[str, VolumeSeen] = {}
    pairs: dict[tuple[str, str], list[Pair]] = {}
    volumes = [(seen, values) for seen, values in _with_values(cases) if values.lowest != values.highest]
    for seen, values in volumes:
        other = first.setdefault(values.digest, seen)
        if other is not seen:
            pairs.setdefault((other.case, seen.case), []).append(Pair(other, seen))
    findings = []
    for pair, *others in pairs.values():
        what = f"it holds the same voxels as {pair.first}"
        if others:
            what += "; so do " + ", ".join(f"{p.second.phase!r} and {p.first.phase!r}" for p in others)
        if any(one.across for one in (pair, *others)):
            what += ", another patient in another split, so that scores would be too good"
        findings.append(Finding(pair.second.case, pair.second.phase, what, pair.remedy))
    return Checked("identical volumes", f"{len(volumes):,} volumes", findings)


REMEDY = "see whether that is right, else correct the headers or convert the files again"


def headers(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes that were read by an assumption; those of a phase with the same one are reported together."""
    told: dict[tuple[str, str], list[str]] = {}
    opened = [(seen, seen.volume) for seen in volumes_of(cases) if seen.volume]
    for seen, volume in opened:
        for remark in volume.remarks:
            told.setdefault((seen.phase, remark), []).append(seen.case)
    findings = []
    for (phase, remark), names in told.items():
        more = f", ... ({len(names)} in all)" if len(names) > MOST_LISTED else ""
        findings.append(Finding(", ".join(names[:MOST_LISTED]) + more, phase, remark, REMEDY))
    return Checked("headers that leave something open", f"{len(opened):,} volumes", findings)


LEAST_SHARED = 0.5  # share of the smaller of two fields of view that must lie in the other


def overlap(cases: Sequence[CaseSeen]) -> Checked:
    """Find phases mostly outside the field of view of the case's first phase; wholly outside breaks training."""
    findings, pairs = [], 0
    for case in cases:
        volumes = {phase: seen.volume for phase, seen in case.phases.items() if seen.volume is not None}
        first = next(iter(volumes), "")
        for phase, volume in volumes.items():
            if phase == first:
                continue
            pairs += 1
            share = shared(volumes[first], volume)
            if share < LEAST_SHARED:
                what = f"its field of view shares {share:.0%} with that of phase {first!r}"
                remedy = f"correct the position in one header or take the phase out of the case ({volume.path})"
                findings.append(Finding(case.case, phase, what, remedy, breaks_training=share == 0))
    return Checked("phases overlap in space", f"{pairs:,} pairs of phases", findings)


def shared(one: Volume, other: Volume) -> float:
    """Return the volume that two fields of view share, divided by the smaller of the two; 0 to 1."""
    axes = frame_axes(one.affine, one.shape)
    boxes = np.stack([field_of_view(volume.affine, volume.shape, axes) for volume in (one, other)])
    common = np.maximum(0, boxes[:, 1].min(axis=0) - boxes[:, 0].max(axis=0)).prod()
    return float(common / (boxes[:, 1] - boxes[:, 0]).prod(axis=1).min())


MOST_SHARES = 5


def pieces(cases: Sequence[CaseSeen]) -> Checked:
    """Find masks in several pieces, unless most are, and masks with other values than few whole numbers."""
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


LEAST_INSIDE = {"mask": 0.9, "box": 0.25}
"""Share of a region that must lie inside each phase; boxes are often drawn generously."""


def region(cases: Sequence[CaseSeen]) -> Checked:
    """Find empty masks, and regions mostly outside a phase; wholly outside breaks training."""
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


AXES = ("first", "second", "third")


def _with_values(cases: Sequence[CaseSeen]) -> list[tuple[VolumeSeen, Values]]:
    return [(seen, seen.values) for seen in volumes_of(cases) if seen.values is not None]


def repeated(cases: Sequence[CaseSeen]) -> Checked:
    """Find neighbouring slices with the same voxels, along any axis of the file."""
    volumes, findings = _with_values(cases), []
    for seen, values in volumes:
        for axis, slices in values.repeated.items():
            if slices:
                more = f" and {len(slices) - 1} more pairs of neighbours" if len(slices) > 1 else ""
                what = f"slices {slices[0]} and {slices[0] + 1}{more} are identical along the {AXES[axis]} axis"
                remedy = "convert the series again; a slice was written twice in place of another"
                findings.append(Finding(seen.case, seen.phase, f"{what} of {seen.file}", remedy))
    return Checked("repeated slices", f"{len(volumes):,} volumes", findings)


def missing(cases: Sequence[CaseSeen]) -> Checked:
    """Find abrupt changes between neighbouring slices along the axis with the largest spacing."""
    volumes, findings = [one for one in _with_values(cases) if one[1].jumps is not None], []
    for seen, values in volumes:
        if values.jumps:
            pairs = ", ".join(f"{index} and {index + 1}" for index in values.jumps[:3])
            axis = AXES[values.slice_axis]
            what = f"the image changes abruptly between slices {pairs} along the {axis} axis"
            remedy = f"look for missing, misplaced or damaged slices and convert it again ({seen.file})"
            findings.append(Finding(seen.case, seen.phase, what, remedy))
    tested = f"{len(volumes):,} volumes, grey ones with at least {LEAST_SLICES} slices"
    return Checked("missing slices", tested, findings)


def finite(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes with NaN or infinite voxels; the loader refuses them."""
    volumes = [(seen, seen.volume) for seen in volumes_of(cases) if seen.volume and not seen.problem]
    findings = []
    for seen, volume in volumes:
        count = math.prod(volume.shape)
        lost = count if seen.values is None else seen.values.not_finite
        if lost:
            share = f"{100 * lost / count:.3g}%"
            what = f"{lost:,} of {count:,} voxels ({share}) are NaN or infinite in {seen.file}"
            remedy = "export it again, replace these voxels, or take the phase out of the case"
            findings.append(Finding(seen.case, seen.phase, what, remedy, breaks_training=True))
    return Checked("NaN or infinite voxels", f"{len(volumes):,} volumes", findings)


def constant(cases: Sequence[CaseSeen]) -> Checked:
    """Find volumes whose voxels all have one value; the loader refuses them."""
    volumes, remedy = _with_values(cases), "export it again or take the phase out of the case"
    findings = [
        Finding(seen.case, seen.phase, f"all voxels are {values.lowest:g} in {seen.file}", remedy, True)
        for seen, values in volumes
        if values.lowest == values.highest
    ]
    return Checked("empty or constant volume", f"{len(volumes):,} volumes", findings)


CHECKS: tuple[Callable[[Sequence[CaseSeen]], Checked], ...] = (
    readable,
    headers,
    finite,
    constant,
    region,
    pieces,
    overlap,
    orientation,
    repeated,
    missing,
    spacing,
    intensity,
    copies,
)
