"""What `comparing` left in a folder: strategies with intervals, pairs, costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from scripts.files.csv_text import read_rows
from scripts.metrics.paired import p_text
from workbench.report.table import UNKNOWN, Table, counted, number

SIGNIFICANT = 0.05
"""Corrected p below which two strategies differ by more than chance explains."""
NAMES = ("strategy", "first", "second", "site")
"""Columns that hold names, also where these look like numbers."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison.

    Attributes:
        folder: where they lie.
        jobs: rows of comparison.csv.
        summary: rows of summary.csv.
        pairs: rows of pairs.csv.
        costs: rows of costs.csv.
    """

    folder: Path
    jobs: list[Row]
    summary: list[Row]
    pairs: list[Row]
    costs: list[Row]

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
        """The sites that were left out in turn; none where folds were drawn."""
        return list(dict.fromkeys(str(row["site"]) for row in self.jobs if row.get("site") is not None))

    @property
    def parts(self) -> int:
        """Number of different test parts: a site is the same one in every repeat."""
        return len(self.sites) or self.folds * self.repeats

    @property
    def n(self) -> str:
        """How many cases are behind each row, for captions."""
        once = [
            row
            for row in self.jobs
            if all(row[key] == self.jobs[0][key] for key in ("strategy", "repeat", "seed"))
        ]
        cases, patients = (sum(int(row[key]) for row in once) for key in ("n", "n_patients"))
        parts = (
            f"{counted(self.folds, 'site')} left out in turn" if self.sites else counted(self.folds, "fold")
        )
        drawn = f"{parts}, {counted(self.repeats, 'repeat')}"
        several = f" of {counted(patients, 'patient')}" if patients != cases else ""
        return f"n = {counted(cases, 'case')}{several}, {drawn}"

    def of(self, metric: str) -> list[Row]:
        """Return the rows of the summary about one metric, those with the highest pooled value first."""
        rows = [row for row in self.summary if row["metric"] == metric]
        return sorted(rows, key=lambda row: -(row["pooled"] if row["pooled"] is not None else -1))


def read_comparison(folder: str | Path) -> Comparison:
    """Read the tables of a comparison.

    Raises:
        FileNotFoundError: the folder holds no finished comparison.
    """
    folder = Path(folder).resolve()
    missing = [
        name for name in ("comparison.csv", "summary.csv", "costs.csv") if not (folder / name).is_file()
    ]
    if missing:
        raise FileNotFoundError(
            f"{folder} must hold a finished comparison, found no {', no '.join(missing)}; run the same "
            "`comparing` command again until it ends, or give another folder"
        )
    pairs = folder / "pairs.csv"
    return Comparison(
        folder,
        jobs=_rows(folder / "comparison.csv"),
        summary=_rows(folder / "summary.csv"),
        pairs=_rows(pairs) if pairs.is_file() else [],
        costs=_rows(folder / "costs.csv"),
    )


def comparison_headline(comparison: Comparison) -> str:
    """Say which strategy is first, and how many pairs differ."""
    best = comparison.of("auc")[0]
    tests = [row for row in comparison.pairs if row["metric"] == "auc" and row["by"] == "patient"]
    differ = sum(row["p_holm"] is not None and row["p_holm"] < SIGNIFICANT for row in tests)
    found = f" Of {counted(len(tests), 'pair')}, {differ or 'none'} differ by more than chance explains."
    auc = number(best["pooled"])
    if best["pooled_lower"] is not None:
        auc += f" (95% interval {number(best['pooled_lower'])} to {number(best['pooled_upper'])})"
    return (
        f"{best['strategy']} has the highest pooled AUC of {len(comparison.of('auc'))} strategies and "
        "baselines, "
        f"{auc}.{found if tests else ''} {comparison.n}."
    )


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Return the tables of the strategies, of sites that were left out, of the pairs, and of the costs."""
    return [_strategies(comparison), *_sites(comparison), *_pairs(comparison), _costs(comparison)]


def _strategies(comparison: Comparison) -> Table:
    accuracy = {row["strategy"]: row for row in comparison.of("accuracy")}
    rows = [
        [row["strategy"]]
        + [
            _interval(source, way)
            for source in (row, accuracy[row["strategy"]])
            for way in ("pooled", "mean")
        ]
        for row in comparison.of("auc")
    ]
    once = ", each site once" if comparison.sites else ""
    header = [f"{name}, {way} [95%]" for name in ("AUC", "accuracy") for way in ("pooled", "mean")]
    notes = [
        "pooled: all cases together, each predicted by networks that did not see it; interval over patients. "
        f"mean: over the test parts of all folds and repeats{once}; "
        "interval by Nadeau and Bengio. Intervals that "
        "overlap do not mean that two strategies are equal: read the pairs."
    ]
    return Table("Strategies and baselines", comparison.n, ["strategy", *header], rows, notes)


def _sites(comparison: Comparison) -> list[Table]:
    """Return the table of the sites: cases, and AUC of each strategy where they are the test part."""
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
    notes = [
        "Each row: the networks were trained at all other sites and tested at this one; the mean over "
        "repeats and seeds. A site that lacks a class has no AUC."
    ]
    return [Table("AUC at each site", comparison.n, ["site", "cases", *strategies], rows, notes)]


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
    notes = [
        f"Two strategies differ by more than chance explains where p (Holm) is below {SIGNIFICANT}; above it "
        "they may still differ, by as much as the interval allows."
    ]
    return [Table("Differences in AUC of each pair", comparison.n, header, rows, notes)]


def _test(row: Row | None) -> list[str]:
    if row is None:
        return [UNKNOWN, UNKNOWN]
    bounds = "" if row["lower"] is None else f" [{row['lower']:+.3f}, {row['upper']:+.3f}]"
    return [f"{row['difference']:+.3f}{bounds}", p_text(row["p_holm"])]


def _costs(comparison: Comparison) -> Table:
    def middle(strategy: str, key: str) -> str:
        known = [row[key] for row in comparison.costs if row["strategy"] == strategy and row[key] is not None]
        return f"{median(known):.3g}" if known else UNKNOWN

    parameters = {row["strategy"]: row["parameters"] for row in comparison.jobs}
    rows = [
        [name, f"{int(parameters[name]):,}", middle(name, "training_seconds"), middle(name, "inference_ms")]
        for name in (row["strategy"] for row in comparison.of("auc"))
    ]
    header = ["strategy", "weights", "training (s)", "prediction (ms per case)"]
    return Table(
        "Costs: medians over the jobs, one thread each",
        f"n = {counted(len(comparison.costs), 'job')}",
        header,
        rows,
    )


def _interval(row: Row, way: str) -> str:
    lower, upper = row[f"{way}_lower"], row[f"{way}_upper"]
    return number(row[way]) + ("" if lower is None else f" [{number(lower)}, {number(upper)}]")


def _rows(file: Path) -> list[Row]:
    return [
        {key: (value or None) if key in NAMES else _cell(value) for key, value in row.items()}
        for row in read_rows(file)[1]
    ]


def _cell(value: str) -> Any:
    """Return a number where a cell holds one, None where it is empty, else the text."""
    if value == "":
        return None
    if value.isdecimal():
        return int(value)
    try:
        return float(value)
    except ValueError:
        return value
