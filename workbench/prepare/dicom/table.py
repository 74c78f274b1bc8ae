# SPDX-License-Identifier: Apache-2.0
"""The table of the volumes of all studies, and what a user must know about their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from scripts.figures.table import aligned
from scripts.files.plain_text import note, shown
from workbench.prepare.dicom.assign import Assignment
from workbench.prepare.dicom.geometry import plane_of
from workbench.prepare.dicom.moments import DAY
from workbench.prepare.dicom.persons import Persons
from workbench.prepare.dicom.stacks import Stack

APART = 1.5  # slices further apart than this many times their thickness may have lost others in between


def unit_of(stack: Stack) -> str:
    """Return the unit of a volume's voxels: HU, BQML, ...; "" where the header states none."""
    scale = stack.first.scale
    if scale.unit or scale.real:
        return scale.unit or f"stored numbers of {scale.real}"
    if stack.first.modality == "CT":
        return (scale.kind or "HU") if scale.slope is not None else "stored numbers"
    return scale.kind if scale.kind not in ("US", "UNSPECIFIED", "NORMALIZED") else ""


def remarks_of(stack: Stack) -> list[str]:
    """Return one line for each reason why the values may not be what they seem."""
    image = stack.first
    unit = unit_of(stack)
    found = []
    if image.modality == "CT" and unit != "HU":
        found.append(f"CT, but its values are not said to be HU, found {unit!r}; they are taken as they are")
    if image.scale.real:
        found.append(
            f"values are stored numbers; that 1 of them is {image.scale.real}, as its header says, is not applied"
        )
    if image.modality == "PT":
        found.append(f"PET in {unit or 'no stated unit'}; values are not converted to SUV")
    if any(one.scale.inverted for one in stack.slices) and image.modality not in ("CT", "PT"):
        found.append("meant to be shown with low values white (MONOCHROME1); the values are kept, not inverted")
    numbers = sorted(one.instance for one in stack.slices if one.instance is not None)
    if len(set(numbers)) == len(stack.slices):
        steps = {after - before for before, after in pairwise(numbers)}
        if len(steps) > 1 and 1 in steps:
            lost = [str(n) for n in range(numbers[0], numbers[-1]) if n not in set(numbers)]
            found.append(note("evenly spaced, but instance numbers are not there", lost))
        thick, apart = image.thickness or 0.0, _distance(stack)
        if len(steps) == 1 and max(steps) > 1 and apart > APART * thick > 0:
            found.append(
                f"slices of {thick:g} mm lie {apart:.4g} mm apart, and only one in {max(steps)} instance "
                "numbers is there; others may be lost"
            )
    return found


def _distance(stack: Stack) -> float:
    """Return the distance from slice to slice in mm, 0 where they make no volume."""
    return 0.0 if stack.affine is None else float(np.linalg.norm(stack.affine[:3, 2]))


def mixed_units(volumes: Iterable[tuple[str, str, Stack]]) -> list[str]:
    """Return one line for each phase whose volumes are in different units.

    Args:
        volumes: name of the case, phase, volume.
    """
    by_phase: dict[str, dict[str, list[str]]] = {}
    for case, phase, stack in volumes:
        by_phase.setdefault(phase, {}).setdefault(unit_of(stack) or "no stated unit", []).append(case)
    return [
        f"phase {phase!r} is in different units: {'; '.join(note(*unit) for unit in units.items())}"
        for phase, units in by_phase.items()
        if len(units) > 1
    ]


HEADER = [
    "study", "series", "description", "image type", "images", "plane", "time", "contrast",
    "phase, or why none",
]  # fmt: skip
NOBODY = Persons([])


def assignment_table(
    assignments: Mapping[str, Sequence[Assignment]], persons: Mapping[str, Persons] | None = None
) -> str:
    """Return one row per volume, and below them remarks on the values of those that become a phase.

    Volumes that may have been meant for a phase and become none have a table of their own, above the others.

    The columns are study, series, description, image type, number of images, plane, time (with the days since
    the beginning of the study), contrast, phase or reason.

    Args:
        assignments: name of a study -> its volumes.
        persons: name of a study -> its patient, whose name is kept out of the table.
    """
    missed, rows, remarks = [HEADER], [HEADER], []
    for name, volumes in assignments.items():
        first_day = min((one.stack.seconds // DAY for one in volumes if one.stack.seconds is not None), default=0.0)
        hide = (persons or {}).get(name, NOBODY).without_names
        for volume in volumes:
            image = volume.stack.first
            (missed if volume.missed else rows).append(
                [
                    name,
                    image.number or "-",
                    hide(" / ".join(filter(None, [image.description or "(none)", volume.stack.part]))),
                    "/".join(image.kind) or "-",
                    str(len(volume.stack.slices)),
                    _plane(volume.stack),
                    _clock(volume.stack.seconds, first_day),
                    "yes" if volume.stack.contrast else "-",
                    f"-> {volume.phase}" if volume.phase else hide(volume.reason),
                ]
            )
            if volume.phase:
                said = [*remarks_of(volume.stack), *([volume.reason] if volume.reason else [])]
                remarks += [f"note: {name}, {volume.phase}: {text}" for text in said]
    lines = aligned([list(map(shown, row)) for row in [*missed, *rows]]).split("\n")
    above = ["left out, though a rule names them:", *lines[: len(missed)], "", "all others:"]
    return "\n".join([*(above if len(missed) > 1 else []), *lines[len(missed) :], *map(shown, remarks)])


def count_missed(assignments: Sequence[Sequence[Assignment]], phases: Sequence[str]) -> str:
    """Return a line that counts what was left out though a rule names it, and what was found; else ""."""
    missed = [sum(volume.missed for volume in volumes) for volumes in assignments]
    if not any(missed):
        return ""
    of = len(assignments)
    found = [f"{phase} {sum(any(one.phase == phase for one in own) for own in assignments)}" for phase in phases]
    return (
        f"warning: {sum(missed)} volumes in {sum(map(bool, missed))} of {of} studies were left out, though a "
        f"rule names them; they stand at the top of the table. Found in studies: {', '.join(found)}, of {of}"
    )


def _plane(stack: Stack) -> str:
    if not stack.first.orientation:
        return "-"
    plane, tilt = plane_of(stack.first)
    return f"{plane}, {tilt:.0f} deg" if tilt >= 0.5 else plane


def _clock(seconds: float | None, first_day: float) -> str:
    """Return a time of day, and the days since the first one.

    >>> _clock(43422.5, 0), _clock(86410.0, 0)
    ('12:03:42', '00:00:10 +1 d')
    """
    if seconds is None:
        return "-"
    days = int(seconds // DAY - first_day)
    text = f"{int(seconds % DAY // 3600):02d}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"
    return text + (f" +{days} d" if days else "")
