# SPDX-License-Identifier: Apache-2.0
"""Which cases are explained, how they are loaded, and the tables of what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import Compose, DeleteItemsd
from scripts.cases.splits import LABELLED
from scripts.files.atomic import write_table
from scripts.transforms.mask_region import MaskRegiond
from workbench.explain.case_explanation import CaseExplanation
from workbench.explain.contribution_figure import Waterfall

Item = dict[str, Any]
GROUPS = (*LABELLED, "unlabelled")


def choose_cases(items: Sequence[Mapping[str, Any]], case: str | Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the cases that a user asks for: by name, by a list of names, by split, or ``all``.

    Splits are training, validation, calibration, test and unlabelled; a case of such a name comes first.

    Raises:
        ValueError: no such case; names the nearest ones.

    >>> items = [{"case": "p01", "split": "test"}, {"case": "p02", "split": "test"}]
    >>> [item["case"] for item in choose_cases(items, "p02")]
    ['p02']
    >>> choose_cases(items, "p1")
    Traceback (most recent call last):
    ...
    ValueError: case 'p1' is not among the 2 cases of the dataset; nearest: p01, p02; or give 'all' or a split
    """
    by_name = {str(item["case"]): item for item in items}
    names = [str(case)] if isinstance(case, str) or not isinstance(case, Sequence) else [str(n) for n in case]
    if len(names) == 1 and names[0] not in by_name:
        group = [item for item in items if names[0] in ("all", item.get("split"))]
        if group:
            return group
        if names[0] in GROUPS:
            raise ValueError(f"the dataset must have cases in the split '{names[0]}', found none; give another")
    if not names:
        raise ValueError("`case` must name at least one case, found []; or give 'all' or a split")
    for name in names:
        if name not in by_name:
            close = get_close_matches(name, by_name, n=3, cutoff=0.0)
            raise ValueError(
                f"case '{name}' is not among the {len(items)} cases of the dataset; nearest: "
                f"{', '.join(close)}; or give 'all' or a split"
            )
    return [by_name[name] for name in names]


def located(preprocessing: Compose) -> Compose:
    """Return a preprocessing that keeps where every voxel came from.

    It leaves out `DeleteItemsd`, which removes what the network does not need.
    """
    steps = preprocessing.flatten().transforms
    return Compose([step for step in steps if not isinstance(step, DeleteItemsd)])


def lesion_labels(preprocessing: Compose) -> Sequence[int] | None:
    """Return the mask values that the region rule counts as lesion; None: all above 0."""
    rules = (step for step in preprocessing.flatten().transforms if isinstance(step, MaskRegiond))
    return next((rule.labels for rule in rules), None)


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
    every = [e.contributions for e in found if e.contributions is not None]
    for k, name in enumerate(classes):
        parts = [part for part in every if int(part.prediction.argmax()) == k]
        if parts:
            start, prediction = (
                float(np.mean([float(getattr(part, key)[k]) for part in parts])) for key in ("start", "prediction")
            )
            steps = np.mean([part.values[:, k].numpy() for part in parts], axis=0).tolist()
            missing = np.sum([~part.present.numpy() for part in parts], axis=0).tolist()
            panels.append(Waterfall(name, start, steps, prediction, missing, cases=len(parts)))
    return panels


def write_mean_contributions(path: Path, panels: Sequence[Waterfall], players: Sequence[str]) -> Path:
    """Write one row per predicted class: predicted, cases, start, prediction, one column per phase."""
    rows = [[p.class_name, p.cases, p.start, p.prediction, *p.steps] for p in panels]
    return write_rows(path, ["predicted", "cases", "start", "prediction", *players], rows)


def write_localisation(
    path: Path, found: Sequence[CaseExplanation], phases: Sequence[str], classes: Sequence[str]
) -> Path | None:
    """Write one row per method and case with a lesion mask; nothing if no case has a mask.

    The columns are case, true (empty where unknown), predicted, method, lesion_heat and background_heat
    (means over all phases), hottest_phase and hottest_mm_from_lesion (0 within it).
    """
    header = ["case", "true", "predicted", "method"]
    header += ["lesion_heat", "background_heat", "hottest_phase", "hottest_mm_from_lesion"]
    rows = []
    for e in found:
        true = "" if e.label is None else classes[e.label]
        names = [e.case, true, classes[int(e.probabilities.argmax())]]
        for method, place in e.localisation.items():
            hottest = [phases[place.hottest_phase], place.distance]
            rows.append([*names, method, place.lesion, place.background, *hottest])
    return write_rows(path, header, rows) if rows else None
