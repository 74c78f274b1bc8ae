# SPDX-License-Identifier: Apache-2.0
"""What the rows and the pooled predictions allow to say: intervals of each strategy, tests of each pair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from scripts.metrics.intervals import confidence_intervals
from scripts.metrics.paired import corrected_t_test
from scripts.metrics.predictions import read_predictions
from scripts.metrics.rows import classification_table
from workbench.compare.pairs import add_holm, compare_all

REPORTED = ("auc", "accuracy")  # The metrics that get intervals and tests; all others are in comparison.csv
Row = dict[str, Any]
Part = tuple[int, int] | str  # A test part: repeat and fold, or the site that was left out


def part_values(rows: Iterable[Row], strategy: str, metric: str) -> dict[Part, float]:
    """Return the metric of a strategy in each test part, the mean over seeds, where it is defined.

    A repeat of a cross-validation draws new parts. A site that is left out is the same test part in every
    repeat, which only draws other validation cases: it is one observation, and the mean over repeats as well.
    """
    found: dict[Part, list[float]] = {}
    for row in rows:
        if row["strategy"] == strategy and row["metrics"][metric] is not None:
            site = row.get("site")
            part = (row["repeat"], row["fold"]) if site is None else str(site)
            found.setdefault(part, []).append(row["metrics"][metric])
    return {part: fmean(values) for part, values in found.items()}


def summarise(rows: Sequence[Row], files: Mapping[str, Path], draws: int, seed: int) -> list[Row]:
    """Compute each metric of each strategy in two ways, each with a 95% interval.

    * `mean`: the mean over all test parts of the metric within one: over the folds of all repeats, or over
      the sites (see `part_values`). The interval is that of Nadeau and Bengio, since the training parts
      overlap: see `corrected_t_test`, here against 0; it is cut off at 0 and 1.
    * `pooled`: the metric of all cases together, by the predictions of `pooled_predictions`. The interval is
      over patients: see `confidence_intervals`.
    """
    n_train, n_test = _sizes(rows)
    found = []
    for strategy, file in files.items():
        pooled = read_predictions(file)
        data = (pooled.probabilities, [label for label in pooled.labels or [] if label is not None])
        macro = classification_table(*data, pooled.classes)[-1]
        intervals = confidence_intervals(*data, pooled.patients, draws, seed)[-1]
        for metric in REPORTED:
            values = list(part_values(rows, strategy, metric).values())
            row = {"strategy": strategy, "metric": metric, "folds": len(values)}
            row |= dict.fromkeys(("mean", "mean_lower", "mean_upper"))
            if len(values) > 1:
                over = corrected_t_test(values, [0.0] * len(values), n_train, n_test)
                row["mean"] = over.first
                if over.lower is not None and over.upper is not None:
                    row |= {"mean_lower": max(over.lower, 0.0), "mean_upper": min(over.upper, 1.0)}
            row["pooled"] = macro[metric]
            row["pooled_lower"], row["pooled_upper"] = intervals[metric].bounds or (None, None)
            found.append(row)
    return found


def pairwise_tests(rows: Sequence[Row], files: Mapping[str, Path], draws: int, seed: int) -> list[Row]:
    """Test every pair of strategies in the same two ways; p-values are corrected by Holm within each.

    * by patient: the pooled predictions of both, on the same cases; DeLong's test of the AUC, the paired
      bootstrap of the accuracy: see `compare_all`.
    * by fold: the metric of both within the same test parts, which are sites where sites are left out: see
      `part_values` and `corrected_t_test`.
    """
    if len(files) < 2:
        return []
    found = []
    for metric in REPORTED:
        for pair in compare_all(files, metric, draws, seed):
            found.append({"metric": metric, "by": "patient"} | pair)
        found += _pairs_by_fold(rows, list(files), metric)
    keys = (
        "metric", "by", "method", "first", "second", "first_value", "second_value", "difference", "lower",
        "upper", "p_value", "p_holm", "note",
    )  # fmt: skip
    return [{key: row[key] for key in keys} for row in found]


def _pairs_by_fold(rows: Sequence[Row], strategies: Sequence[str], metric: str) -> list[Row]:
    """Test all pairs over the folds in which the metric of both is defined."""
    found: list[Row] = []
    for first, second in combinations(strategies, 2):
        one, other = (part_values(rows, strategy, metric) for strategy in (first, second))
        both = sorted(one.keys() & other.keys())
        if len(both) < 2:
            continue
        test = corrected_t_test([one[key] for key in both], [other[key] for key in both], *_sizes(rows))
        names = {"metric": metric, "by": "fold", "first": first, "second": second}
        found.append({**vars(test), "first_value": test.first, "second_value": test.second, **names})
    add_holm(found)
    return found


def _sizes(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the mean number of cases outside of and in the test part."""
    return fmean(row["n_training"] + row["n_validation"] for row in rows), fmean(row["n"] for row in rows)
