"""What was assumed to read the files of a dataset, each thing told once with the cases that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.cases.file_names import values_of_file
from scripts.files.plain_text import note
from scripts.files.workers import work_through
from scripts.volumes.grid import open_phase

LOOKED_AT = 3
"""Cases whose voxels tell whether a phase is a mask."""


def reading_notes(
    cases: Sequence[dict[str, Any]], phases: Sequence[str], workers: int | None = None
) -> list[str]:
    """Return a note for each assumption about a phase's files, and for each phase that is probably a mask."""
    files = [
        (case["case"], phase, case["image"][phase])
        for case in cases
        for phase in phases
        if phase in case["image"]
    ]
    files += [(case["case"], "roi", case["roi"]) for case in cases if case.get("roi")]
    found = work_through(
        lambda place: open_phase(place[2], place[0], place[1]).remarks, files, workers, what="files"
    )
    told: dict[tuple[str, str], list[str]] = {}
    for (case, phase, _), remarks in zip(files, found, strict=True):
        for remark in remarks:
            told.setdefault((phase, remark), []).append(case)
    notes = []
    for (phase, remark), names in told.items():
        of = f"the mask of {len(names)} cases" if phase == "roi" else f"phase {phase!r} of {len(names)} cases"
        notes.append(note(f"warning: {of.replace(' 1 cases', ' 1 case')}: {remark}", names))
    return notes + [line for phase in phases if (line := _mask_note(cases, phase))]


def _mask_note(cases: Sequence[dict[str, Any]], phase: str) -> str:
    """Return a warning where a phase holds few whole numbers in all cases that are looked at."""
    files = [case["image"][phase] for case in cases if phase in case["image"]][:LOOKED_AT]
    values = [values_of_file(_path(file)) for file in files]
    if not values or not all(values):
        return ""
    numbers = ", ".join(str(number) for number in sorted({number for one in values for number in one or ()}))
    return (
        f"warning: phase {phase!r} holds only the values {numbers} in the {len(files)} cases looked at: it "
        "is probably a mask and not an image; if it is the region of interest, name its files lesion, else "
        "leave it out by --phases"
    )


def _path(file: str) -> Any:
    from pathlib import Path

    return Path(file)
