# SPDX-License-Identifier: Apache-2.0
"""Tables of outlines: overlap, distance and volume by structure, and the lesions that were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.figures.table import UNKNOWN, Table, counted, with_interval
from scripts.metrics.lesions import LEAST_IOU, LESION_RULE
from scripts.metrics.outlines import EMPTY_RULE, OUTLINE_TITLES


def outline_table(summary: Sequence[Mapping[str, Any]], tolerance_mm: float, title: str = "Outlines") -> Table:
    """Return the averages of `outline_summary` by structure, with what is counted how below.

    Args:
        tolerance_mm: of the surface Dice.
    """
    several = len({row["mask"] for row in summary} - {None}) > 1
    rows = []
    for row in summary:
        name = row["structure"] + (f", {row['mask'] or 'all masks'}" if several else "")
        absent = [str(row[key]) for key in ("n_absent", "n_missed", "n_invented")]
        rows.append(
            [name, str(row["n_patients"]), " / ".join(absent), *(with_interval(row, m) for m in OUTLINE_TITLES)]
        )
    patients = max((row["n_patients"] for row in summary), default=0)
    notes = [
        "Means over patients [95% interval over patients], of each patient the mean of its cases.",
        f"Surface Dice with a tolerance of {tolerance_mm:g} mm; the volume error is predicted minus true volume.",
        "In neither / only in the true / only in the predicted outline: numbers of outlines.",
        EMPTY_RULE,
    ]
    header = ["structure", "patients", "in neither / only true / only predicted", *OUTLINE_TITLES.values()]
    return Table(title, f"n = {counted(patients, 'patient')}", header, rows, notes)


def lesion_table(summary: Mapping[str, Any], title: str = "Lesions", least_iou: float = LEAST_IOU) -> Table:
    """Return what `lesion_summary` says: sensitivity and false positives per case."""
    rows = [
        ["lesions", f"{summary['n_lesions']:,}"],
        ["components from the threshold on", f"{summary['n_components']:,}"],
        ["sensitivity", with_interval(summary, "sensitivity")],
        ["false positives per case", with_interval(summary, "false_positives_per_case")],
    ]
    rows += [
        [f"sensitivity at {rate} false positives per case", UNKNOWN if value != value else f"{value:.3f}"]
        for rate, value in summary["sensitivity_at"].items()
    ]
    n = f"n = {counted(summary['n_cases'], 'case')} of {counted(summary['n_patients'], 'patient')}"
    notes = [LESION_RULE.format(iou=least_iou), "[95% interval over patients]"]
    return Table(title, n, ["lesions", "found"], rows, notes)
