# SPDX-License-Identifier: Apache-2.0
"""Folds: each labelled case is a test case once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scripts.cases.splits import Case, patient_of, split_by_patient, without_labels


def fold_splits(
    cases: Sequence[Case], folds: int, fractions: Sequence[float], seed: int, outlines: bool = False
) -> dict[str, dict[str, list[Case]]]:
    """Return fold -> split -> cases; each labelled case is a test case once.

    The test parts are stratified by class and site and grouped by patient, and so are the validation cases
    that are drawn from the rest of each fold. The folds are named as `comparing` names them, r1_f1, r1_f2,
    ...

    Args:
        cases: entries of dataset.json; unlabelled ones do not count.
        folds: number of parts, at least 2.
        fractions: of training, validation and test; the first two divide the cases that are not tested.
        outlines: whether the cases have no class: then those with a mask count as labelled.

    Raises:
        ValueError: an invalid number of folds, splits fixed by the source, or a class with too few
            patients.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ValueError(f"folds must be a whole number of at least 2, found {folds!r}; correct --folds")
    if outlines:
        marked = [case | {"label": "cases with a mask"} for case in cases if case.get("roi")]
        drawn = fold_splits(marked, folds, fractions, seed)
        return {fold: without_labels(splits) for fold, splits in drawn.items()}
    labelled = [case for case in cases if "label" in case]
    fixed = next((case for case in labelled if "split" in case), None)
    if fixed is not None:
        raise ValueError(
            f"folds are drawn from cases without a fixed split, found case {fixed['case']} fixed to "
            f"{fixed['split']!r} by the source; leave out --folds, or let `comparing` pool the splits"
        )
    labelled.sort(key=lambda case: case["case"])
    shares = dict(zip(("training", "validation"), fractions, strict=False))
    parts = _draw(labelled, {f"r1_f{number + 1}": 1.0 for number in range(folds)}, seed, 0)
    found = {}
    for number, fold in enumerate(dict.fromkeys(sorted(parts)), start=1):
        rest = [case for case, part in zip(labelled, parts, strict=True) if part != fold]
        splits = _draw(rest, shares, seed, number)
        found[fold] = {
            split: [case for case, drawn in zip(rest, splits, strict=True) if drawn == split] for split in shares
        } | {"test": [case for case, part in zip(labelled, parts, strict=True) if part == fold]}
    return found


def _draw(cases: Sequence[Case], shares: dict[str, float], seed: int, part: int) -> list[str]:
    return split_by_patient(
        [case["label"] for case in cases],
        [patient_of(case) for case in cases],
        shares,
        int(np.random.SeedSequence([seed, part]).generate_state(1)[0]),
        [case.get("site") for case in cases],
    )
