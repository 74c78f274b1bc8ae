"""The assignment of phases as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .assign import Assignment
from .geometry import plane_of
from .moments import DAY
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


def assignment_table(assignments: Mapping[str, Sequence[Assignment]]) -> str:
    """Return one row per volume, and below them what a user must know of the values of those that become a phase.

    The columns are study, series, description, image type, number of images, plane, time (with the days since the
    beginning of the study), contrast, phase or reason.

    Args:
        assignments: name of a study -> its volumes.
    """
    rows, remarks = [HEADER], []
    for name, volumes in assignments.items():
        first_day = min(
            (one.stack.seconds // DAY for one in volumes if one.stack.seconds is not None), default=0.0
        )
        for volume in volumes:
            image = volume.stack.first
            rows.append(
                [
                    name,
                    image.number or "-",
                    " / ".join(filter(None, [image.description or "(none)", volume.stack.part])),
                    "/".join(image.kind) or "-",
                    str(len(volume.stack.slices)),
                    _plane(volume.stack),
                    _clock(volume.stack.seconds, first_day),
                    "yes" if volume.stack.contrast else "-",
                    f"-> {volume.phase}" if volume.phase else volume.reason,
                ]
            )
            if volume.phase:
                said = [*remarks_of(volume.stack), *([volume.reason] if volume.reason else [])]
                remarks += [f"note: {name}, {volume.phase}: {text}" for text in said]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)] + [0]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join([*(line.rstrip() for line in lines), *remarks])


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
