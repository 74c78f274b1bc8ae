# SPDX-License-Identifier: Apache-2.0
"""quality.html: one self-contained file with findings, tables and pictures of the cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.figures.table import UNKNOWN, Table, counted
from scripts.volumes.grid import ras_axes
from workbench.pages import write_page
from workbench.prepare.phase_scale import (
    FEWEST,
    LEAST_OVERLAP,
    MOST_RATIO,
    MOST_VARIATION,
    PROBED,
    PairScale,
    scale_text,
)
from workbench.prepare.quality.cohort import Checked, Finding, together
from workbench.prepare.quality.seen import CaseSeen, VolumeSeen, volumes_of
from workbench.prepare.quality.thumbnail import picture

PAGE = "quality.html"
FIRST_SHOWN = 24  # cases shown whether or not anything was found
MOST_BYTES = 3_500_000  # room for all pictures, so that the page stays below 5 MB
MOST_LISTED = 1000  # findings listed in the page; the screen shows all


def write_quality_page(
    folder: Path,
    name: str,
    phases: Sequence[str],
    cases: Sequence[CaseSeen],
    results: Sequence[Checked],
    scales: Sequence[PairScale] = (),
    preparation: Sequence[str] = (),
) -> Path:
    """Write quality.html into a folder, as a whole or not at all.

    Args:
        preparation: what `preparing` decided, a sentence each.
    """
    findings = [finding for result in results for finding in result.findings]
    breaking = [finding for finding in findings if finding.breaks_training]
    warnings = [finding for finding in findings if not finding.breaks_training]
    marked = {(finding.case, finding.phase) for finding in findings}
    files = {case.case: case.files for case in cases}
    lists = [together(part, files) for part in (breaking, warnings)]
    shown, left = _pictures(cases, phases, {finding.case for finding in findings})
    values = {
        "title": f"Quality of {name}",
        "headline": headline(cases, breaking, warnings),
        "breaking": lists[0][:MOST_LISTED],
        "warnings": lists[1][:MOST_LISTED],
        "counts": [len(breaking), len(warnings)],
        "unlisted": sum(max(0, len(alike) - MOST_LISTED) for alike in lists),
        "tables": [
            check_table(results, len(cases)),
            phase_table(cases, phases),
            *([scale_table(scales)] if scales else []),
        ],
        "preparation": preparation,
        "volumes": volume_table(cases, marked),
        "shown": shown,
        "shown_n": f"n = {len(shown):,} of {counted(len(cases), 'case')}",
        "left": left,
    }
    return write_page(folder, values, PAGE)


def headline(cases: Sequence[CaseSeen], breaking: Sequence[Finding], warnings: Sequence[Finding]) -> str:
    """Say in one sentence what was checked and found."""
    looked = f"{counted(len(cases), 'case')} with {counted(sum(1 for _ in volumes_of(cases)), 'volume')}"
    stops = (
        "nothing would break training" if not breaking else f"{counted(len(breaking), 'finding')} would break training"
    )
    return f"{looked}: {stops}, {counted(len(warnings), 'warning') if warnings else 'no warnings'}."


def _pictures(cases: Sequence[CaseSeen], phases: Sequence[str], marked: set[str]) -> tuple[list[dict[str, Any]], int]:
    """Return the cases to show, those with a finding first, and how many of these did not fit."""
    chosen = [case for case in cases if case.case in marked]
    found = len(chosen)
    chosen += [case for case in cases[:FIRST_SHOWN] if case.case not in marked]
    shown: list[dict[str, Any]] = []
    room = MOST_BYTES
    for case in chosen:
        images = list(_images(case, phases))
        room -= sum(len(image["source"]) for image in images)
        if room < 0:
            break
        shown.append({"name": case.case, "images": images, "marked": case.case in marked, "cut": _cut(case)})
    return shown, max(0, found - len(shown))


def _region(case: CaseSeen) -> str:
    """Return what the case is cut through: its mask, its box, or nothing."""
    return next((one.kind for one in case.regions if not one.problem and not one.empty), "")


def _cut(case: CaseSeen) -> str:
    """Say which slice is shown."""
    region = _region(case)
    return f"slice through its {region}" if region else "middle slice: no mask that can be drawn"


def _images(case: CaseSeen, phases: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Yield an image for each phase of the dataset, so that each has its own column; missing ones get a note."""
    for phase in phases:
        seen = case.phases.get(phase)
        if seen is None or seen.values is None:
            note = "missing" if seen is None else "not readable"
            yield {"phase": phase, "source": "", "width": 0, "height": 0, "note": note}
        else:
            height, width = seen.values.thumbnail.shape[:2]
            note = "" if seen.values.through_region else "does not reach this slice: its middle"
            if not note and _region(case) and seen.values.thumbnail.ndim == 2:
                note = f"its {_region(case)} lies beside this picture"
            source = picture(seen.values.thumbnail)
            yield {"phase": phase, "source": source, "width": width, "height": height, "note": note}


AXES = "Right–left × front–back × top–bottom"
MOST_ROWS = 300  # volumes listed one by one, those with a finding first


def check_table(results: Sequence[Checked], cases: int) -> Table:
    """Tabulate what each check looked at and how much it found."""
    rows = [
        [
            result.check,
            str(sum(finding.breaks_training for finding in result.findings)),
            str(sum(not finding.breaks_training for finding in result.findings)),
            result.tested,
        ]
        for result in results
    ]
    header = ["check", "breaks training", "warnings", "looked at"]
    return Table("What was looked for", f"n = {counted(cases, 'case')}", header, rows)


def phase_table(cases: Sequence[CaseSeen], phases: Sequence[str]) -> Table:
    """Tabulate shape, spacing and intensities of each phase: median, smallest and largest."""
    rows = []
    for phase in phases:
        group = [one.phases[phase] for one in cases if phase in one.phases]
        opened = [one for one in group if one.volume is not None]
        cells = [UNKNOWN] * 3
        if opened:
            shapes, spacings = (np.stack(found) for found in zip(*map(_grid, opened), strict=True))
            values = [one.values for one in group if one.values is not None]
            limits = [[one.low, one.median, one.high] for one in values]
            cells = [_ranges(shapes, ".0f"), _ranges(spacings, ".2f")]
            cells.append(" / ".join(_short(value) for value in np.median(limits, axis=0)) if values else UNKNOWN)
        rows.append([phase, f"{len(opened):,} of {len(group):,}", f"{len(cases) - len(group):,}", *cells])
    header = ["phase", "opened", "cases without", "voxels", "spacing, mm", "1% / 50% / 99% of values"]
    notes = [f"{AXES}: median (smallest to largest of each axis). Values: the median of the volumes' quantiles."]
    return Table("Phases", f"n = {counted(len(cases), 'case')}", header, rows, notes)


def scale_table(scales: Sequence[PairScale]) -> Table:
    """Tabulate how the intensities of every two phases compare, the least alike first."""
    rows = [
        [
            f"{pair.wide}, {pair.narrow}",
            f"{pair.cases:,}",
            f"{pair.ratio:.2f} : 1",
            f"× {pair.variation:.2f}",
            f"{100 * pair.overlap:.0f}%",
            "too few cases to tell" if pair.cases < FEWEST else "no" if pair.strain > 1 else "yes",
        ]
        for pair in sorted(scales, key=lambda one: -one.strain)
    ]
    header = ["phases", "cases", "spread", "from case to case", "overlap", "share a scale"]
    sentence = scale_text(scales)
    notes = [
        f"{sentence[0].upper()}{sentence[1:]}.",
        f"Within each case, background left out; medians of at most {PROBED} cases. Spread: 5% to 95% of the "
        f"values, of the one to that of the other. Two phases share a scale up to {MOST_RATIO} : 1, "
        f"× {MOST_VARIATION} from case to case, and with an overlap from {100 * LEAST_OVERLAP:.0f}%. Only "
        "phases that do are to be scaled together (intensity, joint: true).",
    ]
    return Table("Scale of the phases", f"n = {counted(max(p.cases for p in scales), 'case')}", header, rows, notes)


def volume_table(cases: Sequence[CaseSeen], marked: set[tuple[str, str]]) -> Table:
    """Tabulate every volume, up to `MOST_ROWS`, those with a finding first.

    Args:
        marked: (case, phase) of the findings.
    """
    volumes = sorted(volumes_of(cases), key=lambda seen: (seen.case, seen.phase) not in marked)
    rows = [[f"{seen.case}, {seen.phase}", *_cells(seen)] for seen in volumes[:MOST_ROWS]]
    notes = [f"{AXES}. Volumes with a finding come first."]
    if len(volumes) > MOST_ROWS:
        notes.append(f"{len(volumes) - MOST_ROWS:,} further volumes are not listed.")
    header = ["volume", "voxels", "spacing, mm", "minimum", "1%", "50%", "99%", "maximum", "NaN or infinite"]
    return Table("Volumes", f"n = {counted(len(volumes), 'volume')}", header, rows, notes)


def _grid(seen: VolumeSeen) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels and spacing in mm along R, A, S."""
    assert seen.volume is not None
    axes = ras_axes(seen.volume)
    return np.array(seen.volume.shape)[axes], seen.volume.spacing[axes]


def _cells(seen: VolumeSeen) -> list[str]:
    if seen.volume is None:
        return ["not readable", *[UNKNOWN] * 7]
    shape, spacing = _grid(seen)
    grid = [_axes(shape, ".0f"), _axes(spacing, ".2f")]
    if seen.values is None:
        return [*grid, *[UNKNOWN] * 6]
    found = seen.values
    limits = (found.lowest, found.low, found.median, found.high, found.highest)
    return [*grid, *map(_short, limits), f"{100 * found.not_finite / shape.prod():.3g}%"]


def _ranges(values: np.ndarray, digits: str) -> str:
    median, low, high = (_axes(found, digits) for found in np.quantile(values, [0.5, 0, 1], axis=0))
    return median if low == high else f"{median} ({low} to {high})"


def _axes(values: np.ndarray, digits: str) -> str:
    return " × ".join(format(float(value), digits) for value in values)


def _short(value: float) -> str:
    return f"{value:.4g}"
