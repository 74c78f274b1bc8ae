"""The assignment of phases as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scripts.data.plain_text import shown

from .assign import Assignment
from .geometry import plane_of
from .moments import DAY
from .persons import Persons
from .remarks import remarks_of
from .stacks import Stack

HEADER = [
    "study",
    "series",
    "description",
    "image type",
    "images",
    "plane",
    "time",
    "contrast",
    "phase, or why none",
]


NOBODY = Persons([])


def assignment_table(
    assignments: Mapping[str, Sequence[Assignment]], persons: Mapping[str, Persons] | None = None
) -> str:
    """Return one row per volume, and below them what to know of the values of those that become a phase.

    Volumes that may have been meant for a phase and become none have a table of their own, above the others.

    The columns are study, series, description, image type, number of images, plane, time (with the days since
    the beginning of the study), contrast, phase or reason.

    Args:
        assignments: name of a study -> its volumes.
        persons: name of a study -> its patient, whose name is kept out of the table.
    """
    missed, rows, remarks = [HEADER], [HEADER], []
    for name, volumes in assignments.items():
        first_day = min(
            (one.stack.seconds // DAY for one in volumes if one.stack.seconds is not None), default=0.0
        )
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
    widths = [max(len(row[column]) for row in [*missed, *rows]) for column in range(len(HEADER) - 1)] + [0]
    above = ["left out, though a rule names them:", *_lines(missed, widths), "", "all others:"]
    lines = [*(above if len(missed) > 1 else []), *_lines(rows, widths), *remarks]
    return "\n".join(map(shown, lines))


def count_missed(assignments: Sequence[Sequence[Assignment]], phases: Sequence[str]) -> str:
    """Return a line that counts what was left out though a rule names it, and what was found; else "".

    Args:
        assignments: of each study.
        phases: of the rules.
    """
    missed = [sum(volume.missed for volume in volumes) for volumes in assignments]
    if not any(missed):
        return ""
    of = len(assignments)
    found = [
        f"{phase} {sum(any(one.phase == phase for one in own) for own in assignments)}" for phase in phases
    ]
    return (
        f"warning: {sum(missed)} volumes in {sum(map(bool, missed))} of {of} studies were left out, though a "
        f"rule names them; they stand at the top of the table. Found in studies: {', '.join(found)}, of {of}"
    )


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


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
