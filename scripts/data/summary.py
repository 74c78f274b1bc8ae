"""What `preparing` prints: cases per split and class, missing phases, the clinical table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.data.clinical import Column
from scripts.data.cut_regions import percent
from scripts.data.note import note
from scripts.data.survey import Survey

MOST_CUT = 30
"""Cases named whose mask is left out in part."""


def summary_text(
    splits: Mapping[str, Sequence[dict[str, Any]]],
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[Column],
) -> str:
    """Return the tables of a dataset as text.

    Args:
        splits: split -> entries of dataset.json; empty splits are left out.
        phases: phases in order.
        classes: class names in order.
        clinical: declarations of the clinical columns.

    >>> entry = {"case": "a", "image": {"pre": "a.nii"}, "label": "low", "clinical": {"age": 61.0}}
    >>> print(summary_text({"training": [entry]}, ["pre", "portal"], ["low", "high"],
    ...                    [{"name": "age", "kind": "number", "unit": "years"}]))
    split     cases  patients  low  high
    training      1         1    1     0
    <BLANKLINE>
    phase   present  missing
    pre           1        0
    portal        0        1
    <BLANKLINE>
    clinical     values       present  missing
    age (years)  61.0 - 61.0        1        0
    """
    entries = [entry for cases in splits.values() for entry in cases]
    split_rows = [["split", "cases", "patients", *classes]]
    for split, cases in splits.items():
        if cases:
            counts = [sum(entry.get("label") == name for entry in cases) for name in classes]
            split_rows.append([split, *map(str, (len(cases), len({_patient(e) for e in cases}), *counts))])
    phase_rows = [["phase", "present", "missing"]]
    for phase in phases:
        phase_rows.append([phase, *_present(sum(phase in entry["image"] for entry in entries), len(entries))])
    tables = [text_table(split_rows, left=1), text_table(phase_rows, left=1)]
    if clinical:
        clinical_rows = [["clinical", "values", "present", "missing"]]
        for column in clinical:
            values = [
                value
                for entry in entries
                if (value := entry.get("clinical", {}).get(column["name"])) is not None
            ]
            title = f"{column['name']} ({column['unit']})" if column.get("unit") else column["name"]
            clinical_rows.append([title, _range(column, values), *_present(len(values), len(entries))])
        tables.append(text_table(clinical_rows, left=2))
    return "\n\n".join(tables)


def grid_text(proposal: Survey) -> str:
    """Return the proposed grid in one line, the cases that it cuts off in another, and the intensity rule."""

    def product(values: Sequence[float]) -> str:
        return " x ".join(f"{value:g}" for value in values)

    text = f"grid: {product(proposal.grid_size)} voxels of {product(proposal.spacing)} mm"
    text += f" (median of the files {product(proposal.native_spacing)} mm), "
    text += proposal.region["_target_"].split(".")[-1]
    if proposal.larger:
        text += "\n" + note("cases with a region larger than the grid, which is cropped", proposal.larger)
    if proposal.region.get("component") == "all":
        what = "masks in several pieces, most of all, so that the region holds all of them (component: all)"
        text += "\n" + note(what, proposal.several)
    elif proposal.left_out:
        cut = [f"{case} ({percent(share)} left out)" for case, share in proposal.left_out.items()]
        text += "\n" + note(
            "masks in several pieces, of which the region is the largest with those that fit into the grid "
            "(component: largest)", cut, most=MOST_CUT
        )  # fmt: skip
    return f"{text}\nintensities: {proposal.intensity_reason}"


def _patient(entry: Mapping[str, Any]) -> str:
    return entry.get("patient") or entry["case"]


def _present(number: int, total: int) -> list[str]:
    return [str(number), str(total - number)]


def _range(column: Column, values: Sequence[Any]) -> str:
    if column["kind"] == "category":
        return ", ".join(column["values"])
    return f"{min(values)} - {max(values)}" if values else "none"


def text_table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Align columns: the first `left` ones to the left, the others to the right."""
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if position < left else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
