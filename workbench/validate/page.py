# SPDX-License-Identifier: Apache-2.0
"""report.html of a validation: both hospitals side by side, and what to mind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.figures.table import UNKNOWN, Table, bounds_text, counted, number
from workbench.pages import NOTHING, REPORT, write_page
from workbench.report.cautions import Caution
from workbench.report.figures import picture_of
from workbench.validate.hospital import Group
from workbench.validate.recalibration import Estimate

Scores = Mapping[str, Estimate]


def cell(estimate: Estimate | None) -> str:
    """Return a value with its interval."""
    if estimate is None or not np.isfinite(estimate[0]):
        return UNKNOWN
    return number(estimate[0]) + bounds_text(*(estimate[1] or (None, None)))


def score_table(groups: Sequence[Group], found: Sequence[Scores]) -> Table:
    """Return the figures of all groups side by side."""
    names = list(dict.fromkeys(name for one in found for name in one))
    counts = [f"{len(group.label)} ({len(set(group.patients))})" for group in groups]
    rows = [["cases (patients)", *counts], *([name, *(cell(one.get(name)) for one in found)] for name in names)]
    notes = [
        "[ ]: 95% interval over patients. Calibration: with an intercept above 0 the probabilities are too low there, "
        "with a slope below 1 too extreme. Sets come from the model's own calibration cases, after recalibration from "
        "those of the hospital."
    ]
    header = ["figure", *(group.name for group in groups)]
    return Table("The model at both hospitals", f"n = {' and '.join(counts)}", header, rows, notes)


def cautions(
    groups: Sequence[Group], found: Sequence[Scores], here: int, shared: int | None, reason: str, lacking: Sequence[str]
) -> Iterator[Caution]:
    """Yield what to mind before the figures are believed.

    Args:
        here: index of all cases of the other hospital.
        shared: number of its patients with the name of one that trained the model; None: not known, for `reason`.
        lacking: sentences about what the data lack.
    """
    if shared:
        yield Caution(
            f"{counted(shared, 'patient')} of {len(set(groups[here].patients))} {'has' if shared == 1 else 'have'} the "
            "name of one that trained or tuned the model.",
            "If they are the same people, the figures are too good: take them out. Numbers alone may coincide.",
        )
    if shared is None:
        yield Caution(
            f"Whether patients trained the model, and what differs in the data, is not known: {reason}.",
            "Run this where the data of the training are, or make sure by other means.",
        )
    for sentence in lacking:
        yield Caution(sentence, "Its figures are of cases without it.")
    own = found[here]
    for name, (value, bounds) in own.items():
        if bounds is None:
            continue
        if "intercept" in name and not bounds[0] <= 0 <= bounds[1]:
            low = "low" if value > 0 else "high"
            yield Caution(
                f"The probabilities are too {low} there: {name} is {cell((value, bounds))}.",
                "Recalibrate on cases of this hospital (--recalibration 0.3), and set the threshold anew.",
            )
        if "slope" in name and not bounds[0] <= 1 <= bounds[1]:
            extreme = "extreme" if value < 1 else "moderate"
            yield Caution(
                f"The probabilities are too {extreme} there: {name} is {cell((value, bounds))}.",
                "Recalibrate on cases of this hospital (--recalibration 0.3).",
            )
        if name.startswith("sets of 90%") and bounds[1] < 0.9:
            yield Caution(
                f"Sets of 90% hold the true class of {value:.0%} of all cases [{bounds[0]:.0%}, {bounds[1]:.0%}].",
                "The promise does not travel to this hospital; calibrate the sets there (--recalibration 0.3).",
            )
    if here and (auc := own["AUC"])[1] and (first := found[0]["AUC"])[1] and auc[1][1] < first[1][0]:
        yield Caution(
            f"The AUC is {cell(auc)} there, below {cell(first)} at home.",
            "What differs in the data, below, may say why.",
        )


def write_validation_page(
    folder: Path,
    title: str,
    sentence: str,
    facts: Sequence[tuple[str, str]],
    told: Sequence[Caution],
    tables: Sequence[Table],
    shift: Sequence[Table],
    provenance: Sequence[tuple[str, Any]],
    n: str,
) -> Path:
    """Write report.html of a validation."""
    pictures = [
        picture_of(
            folder / "hospitals.png",
            "The model at both hospitals",
            "Left: the further to the upper left, the better it ranks the cases. Right: on the diagonal a probability "
            "means what it says; below it the model says too much. Bars are 95% intervals.",
            n,
        ),
        picture_of(
            folder / "shift.png",
            "What differs in the data",
            "Each dot is one property; in the grey band the hospitals are alike, an arrow lies beyond the edge.",
            n,
        ),
    ]
    values = NOTHING | {
        "title": title,
        "headline": sentence,
        "facts": list(facts),
        "cautions": list(told),
        "headline_tables": list(tables),
        "data": list(shift),
        "figures": [one for one in pictures if one is not None],
        "provenance": list(provenance),
    }
    return write_page(folder, values, REPORT)
