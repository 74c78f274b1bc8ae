"""Cross-validation by hand: the splits of each fold, for a dataset.json of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.data.splits import patient_of, split_by_patient


def fold_splits(
    cases: Sequence[dict[str, Any]], folds: int, fractions: Sequence[float], seed: int
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return fold -> split -> cases; each labelled case is a test case once.

    The test parts are stratified by class and site and grouped by patient, and so are the validation cases
    that are drawn from the rest of each fold. The folds are named as `comparing` names them, r1_f1, r1_f2,
    ...

    Args:
        cases: entries of dataset.json; unlabelled ones do not count.
        folds: number of parts, at least 2.
        fractions: of training, validation and test; the first two share out what is not tested.
        seed: any whole number from 0.

    Raises:
        ValueError: a number of folds that is none, splits fixed by the source, or a class with too few
            patients.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ValueError(f"folds must be a whole number of at least 2, found {folds!r}; correct --folds")
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
            split: [case for case, drawn in zip(rest, splits, strict=True) if drawn == split]
            for split in shares
        } | {"test": [case for case, part in zip(labelled, parts, strict=True) if part == fold]}
    return found


def _draw(cases: Sequence[dict[str, Any]], shares: dict[str, float], seed: int, part: int) -> list[str]:
    return split_by_patient(
        [case["label"] for case in cases],
        [patient_of(case) for case in cases],
        shares,
        int(np.random.SeedSequence([seed, part]).generate_state(1)[0]),
        [case.get("site") for case in cases],
    )
