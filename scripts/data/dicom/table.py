"""The assignment of phases as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .assign import Assignment
from .geometry import plane_of
from .stacks import Stack

HEADER = ["study", "series", "description", "images", "plane", "time", "contrast", "phase, or why none"]


def assignment_table(assignments: Mapping[str, Sequence[Assignment]]) -> str:
    """Return one row per volume: study, series, description, images, plane, time, contrast, phase or reason.

    Args:
        assignments: name of a study -> its volumes.
    """
    rows = [HEADER]
    for name, volumes in assignments.items():
        for volume in volumes:
            image = volume.stack.first
            rows.append(
                [
                    name,
                    image.number or "-",
                    " / ".join(filter(None, [image.description or "(none)", volume.stack.part])),
                    str(len(volume.stack.slices)),
                    _plane(volume.stack),
                    _clock(volume.stack.seconds),
                    "yes" if image.contrast else "-",
                    f"-> {volume.phase}" if volume.phase else volume.reason,
                ]
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)] + [0]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _plane(stack: Stack) -> str:
    if not stack.first.orientation:
        return "-"
    plane, tilt = plane_of(stack.first)
    return f"{plane}, {tilt:.0f} deg" if tilt >= 0.5 else plane


def _clock(seconds: float | None) -> str:
    """Return a time of day.

    >>> _clock(43422.5)
    '12:03:42'
    """
    if seconds is None:
        return "-"
    return f"{int(seconds // 3600):02d}:{int(seconds // 60 % 60):02d}:{int(seconds % 60):02d}"
