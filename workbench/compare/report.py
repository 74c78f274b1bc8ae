# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests from the rows and pooled predictions of a comparison, and comparison.md with its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from scripts.cases.positive import positive_index
from scripts.cases.splits import patients_known
from scripts.figures.subgroup_tables import group_rows
from scripts.figures.table import counted
from scripts.files.atomic import write_table, write_text
from scripts.metrics.paired import add_holm, corrected_t_test
from scripts.metrics.predictions import read_predictions
from scripts.metrics.rows import classification_table, confidence_intervals
from scripts.metrics.subgroups import Labelled, compare_groups
from workbench.compare.auto import Choice
from workbench.compare.jobs import Job, Place
from workbench.compare.pairs import compare_all
from workbench.compare.pool import Pool
from workbench.compare.strategies import AUTO
from workbench.report.comparison import Comparison, comparison_tables

REPORTED = ("auc", "accuracy")  # Metrics with intervals and tests; comparison.csv has all metrics
Row = dict[str, Any]
Part = tuple[int, int] | str  # A test part: repeat and fold, or the site that was left out


def part_values(rows: Iterable[Row], strategy: str, metric: str) -> dict[Part, float]:
    """Return the metric of a strategy in each test part where it is defined, averaged over seeds.

    A repeat of a cross-validation draws new parts. A site that is left out is the same test part in every repeat,
    which only draws other validation cases: it is one observation, averaged over repeats as well.
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

    * `mean`: the mean of the metric over the test parts, which are the folds of all repeats, or the sites (see
      `part_values`). The interval is that of Nadeau and Bengio, since the training parts overlap: see
      `corrected_t_test`, here against 0; it is clipped to [0, 1].
    * `pooled`: the metric of all cases together, from `pooled_predictions`. The interval is over patients: see
      `confidence_intervals`.
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
    """Test every pair of strategies in the same two ways, with Holm's correction within each metric and way.

    * by patient: compares the pooled predictions on the same cases, by DeLong's test for the AUC and the paired
      bootstrap for the accuracy: see `compare_all`.
    * by fold: compares the metric within the same test parts (folds, or sites that are left out): see
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
    """Test all pairs over the test parts in which the metric of both is defined."""
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


def auto_beside(rows: Sequence[Row], summary: Sequence[Row], choices: Sequence[Choice]) -> list[Row]:
    """Return the AUC of `auto`, the mean of its candidates, and the best of them as named afterwards.

    Each row has mean over the test parts and pooled AUC with intervals, and the difference of the means, `auto`
    minus the row, with interval and p-value of `corrected_t_test`. Candidates count if compared by themselves.
    """
    if not choices:
        return []
    among = [name for name in choices[0].scores if any(row["strategy"] == name for row in rows)]
    own = part_values(rows, AUTO, "auc")
    values = {name: part_values(rows, name, "auc") for name in among}
    row_of = {row["strategy"]: row for row in summary if row["metric"] == "auc"}
    ends = ("mean", "mean_lower", "mean_upper", "pooled", "pooled_lower", "pooled_upper")
    nothing = dict.fromkeys((*ends, "difference", "lower", "upper", "p_value"))
    found = [{"contender": AUTO} | nothing | {key: row_of[AUTO][key] for key in ends}]

    def against(theirs: Mapping[Part, float]) -> Row:
        both = sorted(own.keys() & theirs.keys(), key=str)
        if len(both) < 2:
            return {}
        test = corrected_t_test([own[part] for part in both], [theirs[part] for part in both], *_sizes(rows))
        return {key: getattr(test, key) for key in ("difference", "lower", "upper", "p_value")}

    if len(among) > 1:
        shared = set.intersection(*(set(one) for one in values.values()))
        mean = {part: fmean(values[name][part] for name in among) for part in shared}
        listed = sorted(mean, key=str)
        if len(listed) > 1:
            over = corrected_t_test([mean[part] for part in listed], [0.0] * len(listed), *_sizes(rows))
            bounds: Row = {"mean": over.first}
            if over.lower is not None and over.upper is not None:
                bounds |= {"mean_lower": max(over.lower, 0.0), "mean_upper": min(over.upper, 1.0)}
            pooled = [row_of[name]["pooled"] for name in among if row_of[name]["pooled"] is not None]
            bounds["pooled"] = fmean(pooled) if pooled else None
            found.append({"contender": f"mean of {len(among)} candidates"} | nothing | bounds | against(mean))
    if among:
        best = max(among, key=lambda name: row_of[name]["mean"] or 0.0)
        bounds = {key: row_of[best][key] for key in ends}
        found.append({"contender": f"{best}, named afterwards"} | nothing | bounds | against(values[best]))
    return found


def _sizes(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the mean number of cases outside the test part and in it."""
    return fmean(row["n_training"] + row["n_validation"] for row in rows), fmean(row["n"] for row in rows)


KEY = ("strategy", "repeat", "fold", "site", "seed")


def read_rows(place: Place, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Read the row of each job, in the order of the jobs; rows of earlier versions lack the site."""
    return [job.record | json.loads(place.row(job).read_text(encoding="utf-8")) for job in jobs]


def write_report(
    folder: Path,
    pool: Pool,
    rows: Sequence[Row],
    files: Mapping[str, Path],
    draws: int,
    seed: int,
    choices: Sequence[Choice] = (),
) -> None:
    """Write all tables, each as CSV and all together as comparison.md, and print that of the strategies.

    comparison.csv has one row per job with what the seeds determine: the same comparison gives the same bytes.
    Times, which differ from run to run, are in costs.csv. summary.csv and pairs.csv hold intervals and tests. With
    `auto`, choices.csv holds what it chose by which figures, and auto.csv the rows of `auto_beside`.

    Args:
        draws, seed: number of bootstrap draws and their seed.
    """
    summary = summarise(rows, files, draws, seed)
    keys = [key for key in (*KEY, "device", "threads") if key in rows[0]]
    found = Comparison(
        folder,
        jobs=[_flat(row) for row in rows],
        summary=summary,
        pairs=pairwise_tests(rows, files, draws, seed),
        costs=[{key: row[key] for key in keys} | row["costs"] for row in rows],
        choices=[row for choice in choices for row in choice.rows()],
        auto=auto_beside(rows, summary, choices),
        subgroups=grouped_rows(pool, files, draws, seed),
    )
    write_csv(folder / "comparison.csv", found.jobs)
    write_csv(folder / "costs.csv", found.costs)
    write_csv(folder / "summary.csv", found.summary)
    if found.pairs:
        write_csv(folder / "pairs.csv", found.pairs)
    if found.choices:
        write_csv(folder / "choices.csv", found.choices)
        write_csv(folder / "auto.csv", found.auto)
    if found.subgroups:
        write_csv(folder / "subgroups.csv", found.subgroups)
    else:
        (folder / "subgroups.csv").unlink(missing_ok=True)
    tables = comparison_tables(found)
    parts = [f"# Comparison: {pool.name}", about(pool, found), *(table.markdown() for table in tables)]
    write_text(folder / "comparison.md", "\n\n".join(parts) + "\n")
    print(f"\n{tables[0].text(left=None)}")
    for table in tables:
        if found.choices and AUTO in table.title:
            print(f"\n{table.title}\n{table.text(left=None)}")


def grouped_rows(pool: Pool, files: Mapping[str, Path], draws: int, seed: int) -> list[Row]:
    """Return the pooled metrics of each strategy in each group, with the p-value of the largest gap in AUC.

    p_holm is corrected over the columns and metrics of its strategy.
    """
    if pool.groups is None:
        return []
    found: list[Row] = []
    for strategy, file in files.items():
        pooled = read_predictions(file)
        label = np.array([label for label in pooled.labels or [] if label is not None])
        positive = positive_index(pool.classes, pool.positive) if len(pool.classes) == 2 else 1
        data = (pooled.probabilities, label, pooled.classes, pooled.patients or pooled.cases, draws, seed)
        known = [one for one in pool.groups.of(pooled.cases) if not one.unknown]
        for scores in compare_groups(Labelled(*data, positive=positive), known):
            p = next((gap["p_holm"] for gap in scores["gaps"] if gap["metric"] == "auc"), None)
            found += [{"strategy": strategy, **row, "auc_gap_p_holm": p} for row in group_rows([scores])]
    return found


def _flat(row: Row) -> Row:
    """Return the row of a job with its metrics inserted after the number of patients."""
    items = [(key, value) for key, value in row.items() if key not in ("metrics", "costs")]
    at = [key for key, _ in items].index("n_patients") + 1
    return dict([*items[:at], *row["metrics"].items(), *items[at:]])


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with a header; floats with six decimals, None as an empty cell."""
    write_table(path, rows[0], ([_cell(row[key]) for key in rows[0]] for row in rows))


def _cell(value: Any) -> Any:
    return f"{value:.6f}" if isinstance(value, float) else value


def about(pool: Pool, found: Comparison) -> str:
    """Return a sentence on cases, folds, repeats, seeds and machine."""
    labels, number = pool.values("label"), len(set(pool.values("patient")))
    patients = f"{number} patients" if patients_known(pool.items) else "an unknown number of patients"
    counts = ", ".join(
        f"{labels.count(name)} {name}{', the positive class' if name == pool.positive else ''}" for name in pool.classes
    )
    parts = f"{found.folds} folds"
    if found.sites:
        parts = f"{found.folds} sites left out in turn ({', '.join(found.sites)})"
    seeds = counted(len({row["seed"] for row in found.jobs}), "training seed")
    ran = {f"{row['threads']} thread on {row['processor']}, torch {row['torch']}" for row in found.jobs}
    return (
        f"{len(labels)} cases of {patients} ({counts}); {parts}, {counted(found.repeats, 'repeat')}, "
        f"{seeds}; {'; '.join(sorted(ran))}."
    )
