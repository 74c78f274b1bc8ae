# SPDX-License-Identifier: Apache-2.0
"""Tests every pair of models on their predictions.csv, with Holm's correction for multiple tests."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scripts.figures.table import bounds_text
from scripts.metrics.paired import add_holm, bootstrap_difference, delong_test
from scripts.metrics.predictions import Predictions, read_predictions
from scripts.metrics.registry import METRICS, OVERALL


def compare_all(
    files: Mapping[str, str | Path], metric: str = "auc", draws: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Compare every pair of models on their predictions.csv for the same cases, with Holm's correction.

    The AUC is compared by DeLong's test, every other metric by the paired bootstrap, both by patient.

    Args:
        files: predictions.csv of each model, by the name of the model.
        metric: one of `METRICS` or `OVERALL`.

    Returns:
        One row per pair: metric, first, second (names), n, n_patients, first_value, second_value, the further
        fields of `scripts.metrics.paired.Comparison` (difference, lower, upper, p_value, method, note) and
        p_holm, None if there is no p-value.

    Raises:
        ValueError: fewer than two models; cases, classes or labels that differ between them; an unknown metric.
        FileNotFoundError: a file does not exist.
    """
    if metric not in (*METRICS, *OVERALL):
        raise ValueError(f"metric must be one of {', '.join((*METRICS, *OVERALL))}, found {metric!r}")
    if len(files) < 2:
        raise ValueError(f"a comparison needs at least 2 models, found {len(files)}")
    found = {name: read_predictions(file) for name, file in files.items()}
    reference, (name, *_) = next(iter(found.values())), found
    for other, content in found.items():
        if content.labels is None or None in content.labels:
            raise ValueError(f"{files[other]} must have the true class of every case in its column true")
        _check_same(reference, content, files[name], files[other])
    label, n_patients = np.array(reference.labels), len(set(reference.patients or reference.cases))
    rows = []

    def rows_of(other: Predictions) -> list[int]:
        row = {case: i for i, case in enumerate(other.cases)}
        return [row[case] for case in reference.cases]

    for one, two in combinations(found, 2):
        a, b = (found[name].probabilities[rows_of(found[name])] for name in (one, two))
        comparison = (
            delong_test(a, b, label, reference.patients)
            if metric == "auc"
            else bootstrap_difference(a, b, label, metric, reference.patients, draws, seed)
        )
        rows.append(
            {
                **{"metric": metric, "n": len(label), "n_patients": n_patients, **vars(comparison)},
                **{"first": one, "second": two},
                **{"first_value": comparison.first, "second_value": comparison.second},
            }
        )
    add_holm(rows)
    return rows


def _check_same(reference: Predictions, found: Predictions, expected: str | Path, file: str | Path) -> None:
    """Refuse predictions of other cases, classes or labels than those of the first model."""
    if found.classes != reference.classes:
        raise ValueError(f"{file} has the classes {found.classes}, but {expected} has {reference.classes}")
    differing = sorted(set(found.cases) ^ set(reference.cases))
    if differing:
        raise ValueError(
            f"{file} and {expected} must hold the same cases to be compared, found {len(differing)} in one "
            f"of them only, e.g. {differing[0]}"
        )
    labels = dict(zip(found.cases, found.labels or [], strict=True))
    for case, label in zip(reference.cases, reference.labels or [], strict=True):
        if labels[case] != label:
            raise ValueError(f"case {case}: {file} has another true class than {expected}")


def main() -> None:
    """Run the command line: compare the models and print one line per pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="results folders with predictions.csv")
    parser.add_argument("--metric", choices=(*METRICS, *OVERALL), default="auc")
    parser.add_argument("--draws", type=int, default=2000, help="bootstrap resamples")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    files = {str(folder): folder / "predictions.csv" for folder in given.folders}
    try:
        rows = compare_all(files, given.metric, given.draws, given.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    for row in rows:
        bounds = bounds_text(row["lower"], row["upper"], "+")
        p = "" if row["p_value"] is None else f", p = {row['p_value']:.3g}, Holm {row['p_holm']:.3g}"
        print(
            f"{row['first']} {row['first_value']:.3f} - {row['second']} {row['second_value']:.3f}: "
            f"{row['difference']:+.3f}{bounds}{p}" + (f" ({row['note']})" if row["note"] else "")
        )
    first = rows[0]
    print(f"{given.metric}, {first['n']} cases of {first['n_patients']} patients, {first['method']}")


if __name__ == "__main__":
    main()
