"""Contributions and localisation as tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scripts.evaluation.atomic import write_table
from scripts.explain.case_explanation import CaseExplanation
from scripts.explain.contribution_figure import Waterfall


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV file; numbers have 9 significant digits."""
    return write_table(path, header, ([_cell(value) for value in row] for row in rows))


def _cell(value: object) -> object:
    return f"{value:.9g}" if isinstance(value, float) else value


def write_contributions(
    path: Path, found: Sequence[CaseExplanation], players: Sequence[str], classes: Sequence[str]
) -> Path:
    """Write one row per case and class: case, class, start, prediction, one column per phase.

    The columns of the phases, and of the clinical table, sum to prediction - start; all are probabilities
    from 0 to 1. What a case lacks has 0.
    """
    rows = [
        [explanation.case, name, float(part.start[k]), float(part.prediction[k]), *part.values[:, k].tolist()]
        for explanation in found
        if (part := explanation.contributions) is not None
        for k, name in enumerate(classes)
    ]
    return write_rows(path, ["case", "class", "start", "prediction", *players], rows)


def mean_contributions(found: Sequence[CaseExplanation], classes: Sequence[str]) -> list[Waterfall]:
    """Return, for each class, the mean contributions to its probability over the cases predicted as it."""
    panels = []
    for k, name in enumerate(classes):
        parts = [e.contributions for e in found if e.contributions is not None]
        parts = [part for part in parts if int(part.prediction.argmax()) == k]
        if parts:
            panels.append(
                Waterfall(
                    class_name=name,
                    start=float(np.mean([float(part.start[k]) for part in parts])),
                    steps=np.mean([part.values[:, k].numpy() for part in parts], axis=0).tolist(),
                    prediction=float(np.mean([float(part.prediction[k]) for part in parts])),
                    missing=np.sum([~part.present.numpy() for part in parts], axis=0).tolist(),
                    cases=len(parts),
                )
            )
    return panels


def write_mean_contributions(path: Path, panels: Sequence[Waterfall], players: Sequence[str]) -> Path:
    """Write one row per predicted class: class, cases, start, prediction, one column per phase."""
    rows = [[p.class_name, p.cases, p.start, p.prediction, *p.steps] for p in panels]
    return write_rows(path, ["predicted", "cases", "start", "prediction", *players], rows)


def write_localisation(
    path: Path, found: Sequence[CaseExplanation], phases: Sequence[str], classes: Sequence[str]
) -> Path | None:
    """Write one row per case with a lesion mask and method; nothing where no case has a mask.

    The columns are case, true (empty where unknown), predicted, method, lesion_heat and background_heat
    (means over all phases), hottest_phase and hottest_mm_from_lesion (0 within it).
    """
    header = ["case", "true", "predicted", "method"]
    header += ["lesion_heat", "background_heat", "hottest_phase", "hottest_mm_from_lesion"]
    rows = [
        [
            e.case,
            "" if e.label is None else classes[e.label],
            classes[int(e.probabilities.argmax())],
            method,
            place.lesion,
            place.background,
            phases[place.hottest_phase],
            place.distance,
        ]
        for e in found
        for method, place in e.localisation.items()
    ]
    return write_rows(path, header, rows) if rows else None
