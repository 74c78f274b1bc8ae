# SPDX-License-Identifier: Apache-2.0
"""What `preparing` reports: the tables of a dataset, its grid, and what was assumed to read its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.cases.checks import percent
from scripts.cases.clinical import Column
from scripts.cases.folder import values_of_file
from scripts.cases.masks import ROI, mask_name, masks_of
from scripts.cases.splits import LABELLED, SMALL, Case, Splits, everyone, patient_of, patients_known
from scripts.figures.table import aligned
from scripts.files.plain_text import note
from scripts.files.processes import work_through
from scripts.volumes.grid import open_phase
from workbench.prepare.grids import losses, product
from workbench.prepare.survey import Survey

MOST_CUT = 30  # cases named of which a part of the mask is left out


def summary_text(splits: Splits, phases: Sequence[str], classes: Sequence[str], clinical: Sequence[Column]) -> str:
    """Return the tables of a dataset as text.

    >>> entry = {"case": "a", "image": {"pre": "a.nii"}, "label": "low", "clinical": {"age": 61.0}}
    >>> print(summary_text({"training": [entry]}, ["pre", "portal"], ["low", "high"],
    ...                    [{"name": "age", "kind": "number", "unit": "years"}]))
    split     cases  low  high
    training      1    1     0
    <BLANKLINE>
    phase   present  missing
    pre           1        0
    portal        0        1
    <BLANKLINE>
    clinical     values       present  missing
    age (years)  61.0 - 61.0        1        0
    """
    entries = everyone(splits)
    known = patients_known(entries)
    split_rows = [["split", "cases", *(["patients"] if known else []), *classes]]
    for split, cases in splits.items():
        if cases:
            counts = [sum(entry.get("label") == name for entry in cases) for name in classes]
            patients = [len({patient_of(entry) for entry in cases})] if known else []
            split_rows.append([split, *map(str, (len(cases), *patients, *counts))])
    phase_rows = [["phase", "present", "missing"]]
    for phase in phases:
        phase_rows.append([phase, *_present(sum(phase in entry["image"] for entry in entries), len(entries))])
    tables = [aligned(split_rows, left=1), aligned(phase_rows, left=1)]
    if clinical:
        clinical_rows = [["clinical", "values", "present", "missing"]]
        for column in clinical:
            values = [
                value for entry in entries if (value := entry.get("clinical", {}).get(column["name"])) is not None
            ]
            title = f"{column['name']} ({column['unit']})" if column.get("unit") else column["name"]
            clinical_rows.append([title, _range(column, values), *_present(len(values), len(entries))])
        tables.append(aligned(clinical_rows, left=2))
    return "\n\n".join(tables)


def grid_lines(proposal: Survey) -> list[str]:
    """Return the reference phase, the grid, what each phase loses on it, and the cases that it crops."""
    reference = proposal.reference
    grid = f"{product(proposal.grid_size)} voxels of {product(proposal.spacing)} mm"
    lines = [
        f"reference phase: {reference.phase}, {reference.reason}",
        f"grid: {grid}, {centre(proposal)}; it holds the region of {held_text(proposal)}",
        *(f"on this grid, {line}" for line in losses(reference, proposal.spacing)),
    ]
    if proposal.larger:
        count = f"{len(proposal.larger)} cases have" if len(proposal.larger) > 1 else "1 case has"
        lines.append(f"{count} a region larger than the grid, which is cropped: {', '.join(proposal.larger)}")
    if proposal.region.get("component") == "all":
        what = "masks in several pieces, most of all, so that the region holds all of them (component: all)"
        lines.append(note(what, proposal.several))
    elif proposal.left_out:
        cut = [f"{case} ({percent(share)} left out)" for case, share in proposal.left_out.items()]
        what = "masks in several pieces, of which the region is the largest with those that fit into the grid"
        lines.append(note(f"{what} (component: largest)", cut, most=MOST_CUT))
    return [line for line in [*lines, f"intensities: {proposal.intensity_reason}"] if line]


def held_text(proposal: Survey) -> str:
    """Return how many of the deciding cases have a region that the grid holds.

    For example "19 of 20 training cases".
    """
    return f"{proposal.held} of {proposal.decided_on}"


def centre(proposal: Survey) -> str:
    """Return what the grid is centred on."""
    rule = str(proposal.region["_target_"]).split(".")[-1]
    return {"MaskRegiond": "around the mask", "BoxRegiond": "around the box"}.get(rule, "for the whole volume")


def size_lines(splits: Splits, comparing: str) -> list[str]:
    """Return warnings about unknown patients and about datasets that are too small for one test split."""
    labelled = [case for split in LABELLED for case in splits.get(split, ())]
    lines = []
    if not patients_known(labelled):
        lines.append(
            "patients are unknown: each case counts as a patient of its own; where one has several cases, "
            "name it in a column 'patient', or they may lie in two splits"
        )
    if len({patient_of(case) for case in labelled}) < SMALL and any("label" in case for case in labelled):
        tested = len(splits.get("test", ()))
        wrong = f", and each wrong answer in the test costs {100 / tested:.0f} points of accuracy" if tested else ""
        lines.append(
            f"{len(labelled)} labelled cases are few, {tested} of them the test{wrong}: use comparing, which "
            f"tests every case once in each of several rounds: {comparing}"
        )
    return lines


WIDTH = 0.1  # of a 95% interval of the AUC, that `width_lines` aims at
AUCS = (0.7, 0.8, 0.9)


def auc_width(auc: float, positive: int, negative: int) -> float:
    r"""Return the width of the 95% interval of an AUC that a test of so many patients gives.

    .. math:: 2 z \sqrt{\frac{A (1 - A) + (m - 1)(Q_1 - A^2) + (n - 1)(Q_2 - A^2)}{m n}},
        \quad Q_1 = \frac{A}{2 - A}, \quad Q_2 = \frac{2 A^2}{1 + A}

    Args:
        auc: true AUC, A.
        positive, negative: patients with and without the class, m and n; at least 1.

    Reference: Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 143, 1982, table II.

    >>> round(auc_width(0.8, 20, 20), 2), round(auc_width(0.9, 100, 100), 2)
    (0.28, 0.09)
    """
    both = positive * negative
    spread = auc * (1 - auc) + (positive - 1) * (auc / (2 - auc) - auc**2)
    spread += (negative - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    return 2 * 1.959963984540054 * (spread / both) ** 0.5


def patients_for_width(auc: float, share: float) -> int:
    """Return the fewest test patients for a width of `WIDTH`, if this share of them, in (0, 1), has the class."""
    fewest = 2
    while auc_width(auc, m := min(max(1, round(share * fewest)), fewest - 1), fewest - m) > WIDTH:
        fewest += 1
    return fewest


def width_lines(splits: Splits, classes: Sequence[str]) -> list[str]:
    """Return how much the test split will tell about the AUC of its rarest class, and how many patients tell more."""
    tested = splits.get("test", ())
    patients = {name: {patient_of(case) for case in tested if case.get("label") == name} for name in classes}
    total = len(set().union(*patients.values()))
    rarest = min(classes, key=lambda name: len(patients[name]), default="")
    few = len(patients.get(rarest, ()))
    if not 0 < few < total:
        return []
    widths, needed = (
        ", ".join(found)
        for found in zip(
            *((f"{auc_width(auc, few, total - few):.2f}", str(patients_for_width(auc, few / total))) for auc in AUCS),
            strict=True,
        )
    )
    values = ", ".join(f"{auc:g}" for auc in AUCS)
    return [
        f"the test's {total} patients, {few} of them {rarest}, give a 95% interval of the AUC that is {widths} wide "
        f"where the AUC is {values}; for a width of {WIDTH:g} it takes {needed} test patients (Hanley and McNeil 1982)"
    ]


def _present(number: int, total: int) -> list[str]:
    return [str(number), str(total - number)]


def _range(column: Column, values: Sequence[Any]) -> str:
    if column["kind"] == "category":
        return ", ".join(column["values"])
    return f"{min(values)} - {max(values)}" if values else "none"


LOOKED_AT = 3  # cases whose voxels are read to tell whether a phase is a mask


def reading_notes(cases: Sequence[Case], phases: Sequence[str], workers: int | None = None) -> list[str]:
    """Return a note for each assumption about a phase's files, and for each phase that is probably a mask."""
    files = [
        (case["case"], phase, case["image"][phase]) for case in cases for phase in phases if phase in case["image"]
    ]
    files += [(case["case"], mask_name(p), file) for case in cases for p, file in masks_of(case.get("roi")).items()]
    found = work_through(lambda place: open_phase(place[2], place[0], place[1]).remarks, files, workers, what="files")
    told: dict[tuple[str, str], list[str]] = {}
    for (case, phase, _), remarks in zip(files, found, strict=True):
        for remark in remarks:
            told.setdefault((phase, remark), []).append(case)
    notes = []
    for (phase, remark), names in told.items():
        of = f"the mask of {len(names)} cases" if phase == ROI else f"phase {phase!r} of {len(names)} cases"
        notes.append(note(f"warning: {of.replace(' 1 cases', ' 1 case')}: {remark}", names))
    return notes + [line for phase in phases if (line := _mask_note(cases, phase))]


def _mask_note(cases: Sequence[Case], phase: str) -> str:
    """Return a warning if a phase holds only few whole numbers in all cases that are looked at."""
    files = [case["image"][phase] for case in cases if phase in case["image"]][:LOOKED_AT]
    values = [values_of_file(Path(file)) for file in files]
    if not values or not all(values):
        return ""
    numbers = ", ".join(str(number) for number in sorted({number for one in values for number in one or ()}))
    return (
        f"warning: phase {phase!r} holds only the values {numbers} in the {len(files)} cases looked at: it "
        "is probably a mask and not an image; if it is the region of interest, name its files lesion, else "
        "leave it out by --phases"
    )
