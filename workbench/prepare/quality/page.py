"""quality.html: one self-contained file with findings, tables and pictures of the cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workbench.prepare.phase_scale import PairScale
from workbench.prepare.quality.finding import Checked, Finding, together
from workbench.prepare.quality.seen import CaseSeen, volumes_of
from workbench.prepare.quality.tables import check_table, phase_table, scale_table, volume_table
from workbench.prepare.quality.thumbnail import picture
from workbench.report.render import write_page
from workbench.report.table import counted

PAGE = "quality.html"
FIRST_SHOWN = 24
"""Cases that are shown whether or not anything was found."""
MOST_BYTES = 3_500_000
"""Room for all pictures, so that the page stays below 5 MB."""
MOST_LISTED = 1000
"""Findings listed in the page; the screen shows all."""


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
    """Say in one sentence what was looked at and found."""
    looked = f"{counted(len(cases), 'case')} with {counted(sum(1 for _ in volumes_of(cases)), 'volume')}"
    stops = (
        "nothing would break training"
        if not breaking
        else f"{counted(len(breaking), 'finding')} would break training"
    )
    return f"{looked}: {stops}, {counted(len(warnings), 'warning') if warnings else 'no warnings'}."


def _pictures(
    cases: Sequence[CaseSeen], phases: Sequence[str], marked: set[str]
) -> tuple[list[dict[str, Any]], int]:
    """Return the cases to show, those with a finding first, and how many of these had no room."""
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
    """Go through all phases of the dataset, so that each has its own column; one that is missing is said."""
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
