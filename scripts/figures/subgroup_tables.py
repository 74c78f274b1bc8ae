# SPDX-License-Identifier: Apache-2.0
"""Tables of the metrics in groups of cases: for the screen and the report, and the rows of their CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.figures.table import Table, bounds_text, number, with_interval
from scripts.metrics.paired import p_text
from scripts.metrics.registry import HEADINGS
from scripts.metrics.subgroups import FEWEST

TOO_FEW = "too few"  # In place of a metric of a group that is too small
COMPARED = ("auc", "accuracy", "sensitivity", "specificity")
Scores = Mapping[str, Any]  # of one column, from `subgroup_scores`

RULE = (
    f"{TOO_FEW}: fewer than {FEWEST} patients of a class for the AUC, of the class for sensitivity or specificity, or "
    f"fewer than {2 * FEWEST} of all for the accuracy; such groups are no part of a gap."
)
"""When a group is too small."""


def metrics_of(scores: Scores) -> list[str]:
    """Return the names of the metrics that a column's groups have."""
    return [name for name in COMPARED if name in scores["all"]]


def shown_name(scores: Scores) -> str:
    """Return the name of a column for readers.

    >>> shown_name({"by": "missing_phases"})
    'missing phases'
    """
    return str(scores["by"]).replace("_", " ")


def subgroup_tables(subgroups: Sequence[Scores], n: str) -> list[Table]:
    """Return a table for each column: a row per group, and the largest gap of each metric with its test."""
    tables = []
    tests = sum(gap["p_value"] is not None for one in subgroups for gap in one["gaps"])
    for scores in subgroups:
        names = metrics_of(scores)
        gaps = {gap["metric"]: gap for gap in scores["gaps"]}
        classes = list(scores["all"]["n_of_class"])
        rows = [
            [
                *(row["group"], str(row["n"]), *(str(count) for count in row["n_of_class"].values())),
                *(TOO_FEW if name in row["too_few"] else with_interval(row, name) for name in names),
            ]
            for row in (*scores["groups"], scores["all"])
        ]
        blank = [""] * (1 + len(classes))
        if gaps:
            cells = [number(gap["gap"]) + bounds_text(*(gap["gap_interval"] or (None, None))) for gap in gaps.values()]
            between = [f"{gap['highest']} – {gap['lowest']}" for gap in gaps.values()]
            p = [p_text(gap["p_holm"]) for gap in gaps.values()]
            for title, found in (("largest gap", cells), ("highest – lowest", between), ("p (Holm)", p)):
                known = dict(zip(gaps, found, strict=True))
                rows.append([title, *blank, *(known.get(name, "") for name in names)])
        notes = [RULE]
        if gaps:
            notes.append(
                "The interval of a gap allows for its groups being named after looking. p: how often patients "
                f"redistributed at random, class by class, show a gap as large; corrected by Holm over {tests} tests. "
                "Above 0.05 there may still be a gap, as large as the interval allows."
            )
        header = [shown_name(scores), "cases", *classes, *(HEADINGS[name] for name in names)]
        tables.append(Table(f"By {shown_name(scores)} [95% interval]", n, header, rows, notes))
    return tables


def group_rows(subgroups: Sequence[Scores], sets: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the rows of subgroups.csv, one per group, with the coverage of prediction sets at 90%, if any."""
    covered = {}
    for group in (sets or {}).get("groups", ()):
        (at,) = (one for one in group["levels"] if one["level"] == 0.9)
        covered[group["group"]] = (at["coverage"], *at["coverage_interval"])
    rows = []
    for scores in subgroups:
        for found in scores["groups"]:
            row = {"by": scores["by"]} | {key: found[key] for key in ("group", "n", "n_patients")}
            row |= {f"n_{name}": count for name, count in found["n_of_class"].items()}
            for name in metrics_of(scores):
                row |= _cells(name, found[name], found[f"{name}_interval"])
            if covered:
                own = covered.get(f"{scores['by']} {found['group']}", covered["all"])  # the only group is all cases
                row |= _cells("coverage_90", own[0], own[1:])
            rows.append(row | {"too_few": "; ".join(f"{name}: {why}" for name, why in found["too_few"].items())})
    return rows


def gap_rows(subgroups: Sequence[Scores]) -> list[dict[str, Any]]:
    """Return the rows of subgroup_gaps.csv: one per column and metric with two groups that are large enough."""
    return [
        {
            **{"by": scores["by"], "metric": gap["metric"]},
            **_cells("gap", gap["gap"], gap["gap_interval"]),
            **{key: gap[key] for key in ("highest", "lowest", "n_groups", "n")},
            **{key: None if gap[key] is None else f"{gap[key]:.4f}" for key in ("p_value", "p_holm")},
        }
        for scores in subgroups
        for gap in scores["gaps"]
    ]


def _cells(name: str, value: float | None, bounds: Sequence[float] | None) -> dict[str, str | None]:
    """Return a value and its interval as three cells."""
    every = (value, *(bounds or (None, None)))
    texts = (None if one is None else f"{one:.6f}" for one in every)
    return dict(zip((name, f"{name}_lower", f"{name}_upper"), texts, strict=True))
