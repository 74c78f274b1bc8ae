# SPDX-License-Identifier: Apache-2.0
"""Results of a comparison, and its tables: strategies with intervals, sites, pairs, costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from scripts.figures.subgroup_tables import RULE, TOO_FEW
from scripts.figures.table import UNKNOWN, Table, bounds_text, counted, number
from scripts.files.csv_text import read_rows
from scripts.metrics.paired import p_text

SIGNIFICANT = 0.05  # Corrected p below which two strategies differ by more than chance explains
NAMES = (
    "strategy",
    "first",
    "second",
    "site",
    "by",
    "group",
    "candidate",
    "contender",
)  # Columns that hold names, even if these look like numbers
Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison.

    Attributes:
        jobs, summary, pairs, costs, choices, auto, subgroups: rows of comparison.csv and of the files of these names.
    """

    folder: Path  # where they lie
    jobs: list[Row]
    summary: list[Row]
    pairs: list[Row]
    costs: list[Row]
    choices: list[Row] = field(default_factory=list)  # with the contender `auto`: one per fold, seed and candidate
    auto: list[Row] = field(default_factory=list)
    subgroups: list[Row] = field(default_factory=list)  # one per strategy and group of cases

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len({row["fold"] for row in self.jobs})

    @property
    def repeats(self) -> int:
        """Number of repeats."""
        return len({row["repeat"] for row in self.jobs})

    @property
    def sites(self) -> list[str]:
        """The sites that were left out in turn; empty if folds were drawn."""
        return list(dict.fromkeys(str(row["site"]) for row in self.jobs if row.get("site") is not None))

    @property
    def parts(self) -> int:
        """Number of different test parts; a site is the same part in every repeat."""
        return len(self.sites) or self.folds * self.repeats

    @property
    def n(self) -> str:
        """Number of cases behind each row, as text for captions."""
        first, same = self.jobs[0], ("strategy", "repeat", "seed")
        once = [row for row in self.jobs if all(row[key] == first[key] for key in same)]
        cases, patients = (sum(int(row[key]) for row in once) for key in ("n", "n_patients"))
        several = f" of {counted(patients, 'patient')}" if patients != cases else ""
        folds = counted(self.folds, "site" if self.sites else "fold") + " left out in turn" * bool(self.sites)
        return f"n = {counted(cases, 'case')}{several}, {folds}, {counted(self.repeats, 'repeat')}"

    def of(self, metric: str) -> list[Row]:
        """Return the rows of the summary for one metric, sorted by falling pooled value."""
        rows = [row for row in self.summary if row["metric"] == metric]
        return sorted(rows, key=lambda row: -(row["pooled"] if row["pooled"] is not None else -1))


def read_comparison(folder: str | Path) -> Comparison:
    """Read the tables of a comparison.

    Raises:
        FileNotFoundError: the folder holds no finished comparison.
    """
    folder = Path(folder).resolve()
    needed = ("comparison.csv", "summary.csv", "costs.csv")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{folder} must hold a finished comparison, found no {', no '.join(missing)}; run the same "
            "`comparing` command again until it ends, or give another folder"
        )
    optional = {name: folder / f"{name}.csv" for name in ("pairs", "choices", "auto", "subgroups")}
    return Comparison(
        folder,
        jobs=_rows(folder / "comparison.csv"),
        summary=_rows(folder / "summary.csv"),
        costs=_rows(folder / "costs.csv"),
        **{name: _rows(file) if file.is_file() else [] for name, file in optional.items()},
    )


def comparison_headline(comparison: Comparison) -> str:
    """Return a text that says which strategy is first, and how many pairs differ."""
    rows = comparison.of("auc")
    tests = [row for row in comparison.pairs if row["metric"] == "auc" and row["by"] == "patient"]
    differ = sum(row["p_holm"] is not None and row["p_holm"] < SIGNIFICANT for row in tests)
    found = f" Of {counted(len(tests), 'pair')}, {differ or 'none'} differ by more than chance explains."
    interval = _told(rows[0])
    auto = next((row for row in rows if row["strategy"] == "auto"), rows[0])
    if auto is not rows[0]:
        found = f" auto, which did not see the test parts when it chose, has {_told(auto)}.{found}"
    return (
        f"{rows[0]['strategy']} has the highest pooled AUC of {len(rows)} strategies and baselines, "
        f"{interval}.{found if tests else ''} {comparison.n}."
    )


def _told(row: Row) -> str:
    """Return the pooled AUC of a strategy with its interval in words."""
    auc, lower, upper = (number(row[f"pooled{end}"]) for end in ("", "_lower", "_upper"))
    return auc if lower == UNKNOWN else f"{auc} (95% interval {lower} to {upper})"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Return the tables of the strategies, the sites left out, other groups, the pairs, and the costs."""
    tables = [
        _strategies(comparison),
        *_auto(comparison),
        *_sites(comparison),
        *_groups(comparison),
        *_pairs(comparison),
    ]
    return [*tables, _costs(comparison)]


def _strategies(comparison: Comparison) -> Table:
    accuracy = {row["strategy"]: row for row in comparison.of("accuracy")}
    rows = []
    for row in comparison.of("auc"):
        both = (row, accuracy[row["strategy"]])
        rows.append([row["strategy"], *(_interval(of, way) for of in both for way in ("pooled", "mean"))])
    once = ", each site once" if comparison.sites else ""
    header = [f"{name}, {way} [95%]" for name in ("AUC", "accuracy") for way in ("pooled", "mean")]
    note = (
        "pooled: all cases together, each predicted by networks that did not see it; interval over patients. "
        f"mean: over the test parts of all folds and repeats{once}; interval by Nadeau and Bengio. Intervals "
        "that overlap do not mean that two strategies are equal: read the pairs."
    )
    return Table("Strategies and baselines", comparison.n, ["strategy", *header], rows, [note])


def _auto(comparison: Comparison) -> list[Table]:
    """Return the tables of `auto`: beside its candidates, and what it chose how often."""
    if not comparison.choices:
        return []
    beside = [
        [row["contender"], _interval(row, "mean"), _interval(row, "pooled"), _difference(row)]
        for row in comparison.auto
    ]
    header = ["contender", "AUC, mean [95%]", "AUC, pooled [95%]", "auto minus this, mean [95%]"]
    notes = [
        "auto chose anew for each test part, from cases outside it: its figure is what choosing leads to. The "
        "strategy that is named best after its test parts were seen looks better than it is: that row is optimistic."
    ]
    every: dict[str, list[Row]] = {}
    for row in comparison.choices:
        every.setdefault(row["candidate"], []).append(row)
    times = len(next(iter(every.values())))
    rows = [
        [
            name,
            f"{sum(row['chosen'] for row in found)} of {times}",
            f"{sum(row['within'] for row in found)} of {times}",
            number(fmean(row["auc"] for row in found)),
            f"{int(found[0]['weights']):,}",
        ]
        for name, found in every.items()
    ]
    rows.sort(key=lambda row: -int(row[1].split()[0]))
    n = f"n = {counted(times, 'choice')}, each from {counted(int(comparison.choices[0]['inner_folds']), 'inner fold')}"
    rule = "Chosen: the fewest weights within one standard error of the best mean AUC of the inner folds."
    named = ["candidate", "chosen", "within one standard error", "AUC in the inner folds, mean", "weights"]
    return [
        Table("auto beside its candidates", comparison.n, header, beside, notes),
        Table("What auto chose", n, named, rows, [rule]),
    ]


def _sites(comparison: Comparison) -> list[Table]:
    """Return the table of the sites: cases, and AUC of each strategy with the site as test part."""
    if not comparison.sites:
        return []
    strategies = [row["strategy"] for row in comparison.of("auc")]
    rows = []
    for site in comparison.sites:
        here = [row for row in comparison.jobs if str(row["site"]) == site]
        cells = []
        for strategy in strategies:
            known = [row["auc"] for row in here if row["strategy"] == strategy and row["auc"] is not None]
            cells.append(number(fmean(known)) if known else UNKNOWN)
        rows.append([site, str(here[0]["n"]), *cells])
    note = (
        "Each row: the networks were trained at all other sites and tested at this one; the mean over "
        "repeats and seeds. A site that lacks a class has no AUC."
    )
    return [Table("AUC at each site", comparison.n, ["site", "cases", *strategies], rows, [note])]


def _groups(comparison: Comparison) -> list[Table]:
    """Return for each column a table of its groups: cases, and pooled AUC of each strategy with its interval."""
    tables = []
    strategies = [row["strategy"] for row in comparison.of("auc")]
    for by in dict.fromkeys(row["by"] for row in comparison.subgroups):
        own = [row for row in comparison.subgroups if row["by"] == by]
        at = {(row["group"], row["strategy"]): row for row in own}
        rows = []
        for group in dict.fromkeys(row["group"] for row in own):
            found = [at[group, strategy] for strategy in strategies]
            cells = [TOO_FEW if row["auc"] in (None, "") else _pooled_auc(row) for row in found]
            rows.append([group, str(found[0]["n"]), *cells])
        p = [at[rows[0][0], strategy]["auc_gap_p_holm"] for strategy in strategies]
        if len(rows) > 1 and any(value is not None for value in p):
            rows.append(["p of the largest gap (Holm)", "", *map(p_text, p)])
        name = str(by).replace("_", " ")
        title = f"Pooled AUC of each group by {name} [95%]"
        tables.append(Table(title, comparison.n, [name, "cases", *strategies], rows, [RULE]))
    return tables


def _pooled_auc(row: Row) -> str:
    value, lower, upper = (float(row[key]) for key in ("auc", "auc_lower", "auc_upper"))
    return number(value) + bounds_text(lower, upper)


def _pairs(comparison: Comparison) -> list[Table]:
    by_pair: dict[tuple[str, str], dict[str, Row]] = {}
    for row in comparison.pairs:
        if row["metric"] == "auc":
            by_pair.setdefault((row["first"], row["second"]), {})[row["by"]] = row
    if not by_pair:
        return []
    rows = []
    for (first, second), ways in by_pair.items():
        cells = [cell for by in ("patient", "fold") for cell in _test(ways.get(by))]
        rows.append([f"{first} − {second}", *cells])
    header = ["pair", "pooled, over patients [95%]", "p (Holm)", "mean, over folds [95%]", "p (Holm)"]
    note = (
        f"Two strategies differ by more than chance explains where p (Holm) is below {SIGNIFICANT}; above it "
        "they may still differ, by as much as the interval allows."
    )
    return [Table("Differences in AUC of each pair", comparison.n, header, rows, [note])]


def _test(row: Row | None) -> list[str]:
    if row is None:
        return [UNKNOWN, UNKNOWN]
    return [_difference(row), p_text(row["p_holm"])]


def _difference(row: Row) -> str:
    if row["difference"] is None:
        return UNKNOWN
    return f"{row['difference']:+.3f}{bounds_text(row['lower'], row['upper'], '+')}"


def _costs(comparison: Comparison) -> Table:
    def middle(strategy: str, key: str) -> str:
        known = [row[key] for row in comparison.costs if row["strategy"] == strategy and row[key] is not None]
        return f"{median(known):.3g}" if known else UNKNOWN

    weights: dict[str, set[int]] = {}
    for row in comparison.jobs:
        weights.setdefault(row["strategy"], set()).add(int(row["parameters"]))
    rows = [
        [
            name,
            " to ".join(f"{one:,}" for one in sorted({min(weights[name]), max(weights[name])})),
            middle(name, "training_seconds"),
            middle(name, "inference_ms"),
        ]
        for name in (row["strategy"] for row in comparison.of("auc"))
    ]
    title, n = "Costs: medians over the jobs, one thread each", counted(len(comparison.costs), "job")
    return Table(title, f"n = {n}", ["strategy", "weights", "training (s)", "prediction (ms per case)"], rows)


def _interval(row: Row, way: str) -> str:
    return number(row[way]) + bounds_text(row[f"{way}_lower"], row[f"{way}_upper"])


def _rows(file: Path) -> list[Row]:
    return [
        {key: (value or None) if key in NAMES else _cell(value) for key, value in row.items()}
        for row in read_rows(file)[1]
    ]


def _cell(value: str) -> Any:
    """Return the number in a cell, None if it is empty, else its text."""
    if value == "":
        return None
    if value.isdecimal():
        return int(value)
    try:
        return float(value)
    except ValueError:
        return value
