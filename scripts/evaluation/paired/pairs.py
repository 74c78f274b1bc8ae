"""All pairs of several models on the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from scripts.evaluation.metrics import METRICS, OVERALL
from scripts.evaluation.paired.bootstrap import bootstrap_difference
from scripts.evaluation.paired.delong import delong_test
from scripts.evaluation.paired.holm import add_holm
from scripts.evaluation.predictions import Predictions, read_predictions


def compare_all(
    files: Mapping[str, str | Path], metric: str = "auc", draws: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Compare every pair of models by their predictions.csv on the same cases, with Holm's correction.

    The AUC by DeLong's test, every other metric by the paired bootstrap; both by patient.

    Args:
        files: predictions.csv of each model, by the name of the model.
        metric: one of `METRICS` or of `OVERALL`.
        draws: number of bootstrap resamples.
        seed: of the resampling.

    Returns:
        One row per pair: first, second (names), n, n_patients, the fields of `Comparison` (first_value,
        second_value, difference, lower, upper, p_value, method, note) and p_holm, None where there is no p.

    Raises:
        ValueError: fewer than two models, other cases, classes or labels in one of them, an unknown metric.
        FileNotFoundError: a file is not there.
    """
    if metric not in (*METRICS, *OVERALL):
        raise ValueError(f"metric must be one of {', '.join((*METRICS, *OVERALL))}, found {metric!r}")
    if len(files) < 2:
        raise ValueError(f"a comparison needs at least 2 models, found {len(files)}")
    found = {name: _labelled(read_predictions(file), file) for name, file in files.items()}
    reference, (name, *_) = next(iter(found.values())), found
    for other, content in found.items():
        _check_same(reference, content, files[name], files[other])
    label = np.array(reference.labels)
    rows = []
    for one, two in combinations(found, 2):
        a, b = _in_order(found[one], reference), _in_order(found[two], reference)
        comparison = (
            delong_test(a, b, label, reference.patients)
            if metric == "auc"
            else bootstrap_difference(a, b, label, metric, reference.patients, draws, seed)
        )
        fields = vars(comparison) | {"first": one, "second": two}
        values = {"first_value": comparison.first, "second_value": comparison.second}
        n_patients = len(set(reference.patients or reference.cases))
        rows.append(
            {"metric": metric, "n": len(reference.cases), "n_patients": n_patients, **fields, **values}
        )
    add_holm(rows)
    return rows


def _labelled(found: Predictions, file: str | Path) -> Predictions:
    """Refuse predictions without the true class of every case."""
    if found.labels is None or None in found.labels:
        raise ValueError(f"{file} must have the true class of every case in its column true")
    return found


def _check_same(reference: Predictions, found: Predictions, expected: str | Path, file: str | Path) -> None:
    """Refuse predictions of other cases, classes or labels than those of the first model."""
    if found.classes != reference.classes:
        raise ValueError(f"{file} has the classes {found.classes}, but {expected} has {reference.classes}")
    differing = sorted(set(found.cases) ^ set(reference.cases))
    if differing:
        raise ValueError(
            f"{file} and {expected} must hold the same cases to be compared, found {len(differing)} in "
            f"one of them only, e.g. {differing[0]}"
        )
    labels = dict(zip(found.cases, found.labels or [], strict=True))
    for case, label in zip(reference.cases, reference.labels or [], strict=True):
        if labels[case] != label:
            raise ValueError(f"case {case}: {file} has another true class than {expected}")


def _in_order(found: Predictions, reference: Predictions) -> np.ndarray:
    """Return the probabilities in the order of the reference's cases."""
    row = {case: i for i, case in enumerate(found.cases)}
    return found.probabilities[[row[case] for case in reference.cases]]
