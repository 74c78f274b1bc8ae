"""The rows of all jobs as tables: what a seed fixes, and apart from it what differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scripts.cases.splits import patients_known
from scripts.files.atomic import write_table, write_text
from scripts.metrics.paired import p_text
from workbench.compare.jobs import Job, Place
from workbench.compare.pool import Pool, at_sites, site_counts, sites_of
from workbench.compare.statistics import Row, pairwise_tests, summarise

KEY = ("strategy", "repeat", "fold", "site", "seed")


def read_rows(place: Place, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Read what each job left, in the order of the jobs; rows of earlier versions lack the site."""
    return [job.record | json.loads(place.row(job).read_text(encoding="utf-8")) for job in jobs]


def write_tables(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write comparison.csv and costs.csv, one row per job.

    comparison.csv holds what the seeds fix: the same comparison gives the same bytes. Times differ from run
    to run and are in costs.csv.

    Args:
        folder: results folder of the comparison.
        rows: of `read_rows`.
    """
    found = []
    for row in rows:
        flat = {key: value for key, value in row.items() if key not in ("metrics", "costs")}
        at = list(flat).index("n_patients") + 1
        items = list(flat.items())
        found.append(dict([*items[:at], *row["metrics"].items(), *items[at:]]))
    write_csv(folder / "comparison.csv", found)
    keys = [key for key in (*KEY, "device", "threads") if key in rows[0]]
    costs = [{key: row[key] for key in keys} | row["costs"] for row in rows]
    write_csv(folder / "costs.csv", costs)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with a header; numbers with six decimals, nothing for None."""
    write_table(path, rows[0], ([_cell(row[key]) for key in rows[0]] for row in rows))


def _cell(value: Any) -> Any:
    return f"{value:.6f}" if isinstance(value, float) else value


READING = """\
mean: over the test parts of all folds and repeats{sites}; its interval allows for training parts that overlap
(Nadeau and Bengio). pooled: all cases together, each predicted by the networks that did not see it, averaged
over the repeats; its interval is over patients. Two strategies differ by more than chance explains where
p (Holm) is below 0.05; the intervals of single strategies do not tell that.
"""


def write_report(
    folder: Path, pool: Pool, rows: Sequence[Row], files: Mapping[str, Path], draws: int, seed: int
) -> None:
    """Write summary.csv, pairs.csv and comparison.md, and print the main table.

    Args:
        folder: results folder of the comparison.
        pool: the cases.
        rows: of `read_rows`.
        files: pooled predictions by strategy.
        draws: bootstrap resamples.
        seed: of the bootstrap.
    """
    summary, pairs = summarise(rows, files, draws, seed), pairwise_tests(rows, files, draws, seed)
    write_csv(folder / "summary.csv", summary)
    if pairs:
        write_csv(folder / "pairs.csv", pairs)
    main = summary_lines(summary)
    sites = sites_of(rows)
    reading = READING.format(sites=", each site once" if sites else "")
    text = "\n".join(
        [
            *(f"# Comparison: {pool.name}", "", about(pool, rows), ""),
            *("## Strategies", "", *main, "", reading),
            *(["## Sites", "", *site_table(pool, rows), ""] if sites else []),
            *("## Cost", "", *cost_lines(rows), ""),
            *("## Pairs", "", *pair_lines(pairs), ""),
        ]
    )
    write_text(folder / "comparison.md", text)
    print("\n" + "\n".join(main))


def about(pool: Pool, rows: Sequence[Row]) -> str:
    """Say what was compared on what."""
    labels = pool.values("label")
    number = len(set(pool.values("patient")))
    patients = f"{number} patients" if patients_known(pool.items) else "an unknown number of patients"
    counts = ", ".join(
        f"{labels.count(name)} {name}{', the positive class' if name == pool.positive else ''}"
        for name in pool.classes
    )
    folds, repeats, seeds = (len({row[key] for row in rows}) for key in ("fold", "repeat", "seed"))
    sites = sites_of(rows)
    parts = f"{folds} sites left out in turn ({', '.join(sites)})" if sites else f"{folds} folds"
    once = "1 training seed" if seeds == 1 else f"{seeds} training seeds"
    machine = sorted({f"{row['threads']} thread on {row['processor']}, torch {row['torch']}" for row in rows})
    return (
        f"{len(labels)} cases of {patients} ({counts}); "
        f"{parts}, {repeats} {'repeat' if repeats == 1 else 'repeats'}, {once}; {'; '.join(machine)}."
    )


def summary_lines(summary: Sequence[Row]) -> list[str]:
    """Return the table of the strategies, those with the highest pooled AUC first."""
    by_strategy: dict[str, dict[str, Row]] = {}
    for row in summary:
        by_strategy.setdefault(row["strategy"], {})[row["metric"]] = row
    order = sorted(by_strategy, key=lambda name: -(by_strategy[name]["auc"]["pooled"] or 0.0))
    return table(
        [
            "strategy",
            "AUC, mean [95%]",
            "AUC, pooled [95%]",
            "accuracy, mean [95%]",
            "accuracy, pooled [95%]",
        ],
        (
            [f"`{name}`"]
            + [
                interval(by_strategy[name][metric], way)
                for metric in ("auc", "accuracy")
                for way in ("mean", "pooled")
            ]
            for name in order
        ),
    )


def site_table(pool: Pool, rows: Sequence[Row]) -> list[str]:
    """Return the table of the sites: their cases, and the AUC of each strategy tested there."""
    aucs, counts = at_sites(rows, "auc"), site_counts(pool)

    def cell(value: float | None) -> str:
        return "–" if value is None else short(value)

    return table(
        ["site", "cases", *(f"`{name}`" for name in aucs)],
        (
            [site, counts[site], *(cell(by_site[site]) for by_site in aucs.values())]
            for site in sites_of(rows)
        ),
    )


def cost_lines(rows: Sequence[Row]) -> list[str]:
    """Return the table of the costs: medians over the jobs of a strategy."""

    def middle(strategy: str, key: str) -> str:
        found = [row["costs"][key] for row in rows if row["strategy"] == strategy]
        known = [value for value in found if value is not None]
        return f"{median(known):.3g}" if known else "–"

    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    parameters = {row["strategy"]: row["parameters"] for row in rows}
    return table(
        ["strategy", "parameters", "training (s)", "inference (ms per case)"],
        (
            [
                f"`{name}`",
                f"{parameters[name]:,}",
                middle(name, "training_seconds"),
                middle(name, "inference_ms"),
            ]
            for name in strategies
        ),
    )


def pair_lines(pairs: Sequence[Row]) -> list[str]:
    """Return the table of the pairs by their AUC, in both ways."""
    by_pair: dict[tuple[str, str], dict[str, Row]] = {}
    for row in pairs:
        if row["metric"] == "auc":
            by_pair.setdefault((row["first"], row["second"]), {})[row["by"]] = row
    if not by_pair:
        return ["There is no pair."]

    def cells(ways: Mapping[str, Row]) -> Iterable[str]:
        for by in ("patient", "fold"):
            row = ways.get(by)
            yield "–" if row is None else difference(row)
            yield p_text(None if row is None else row["p_holm"])

    return table(
        [
            "first", "second", "AUC difference, pooled [95%]", "p (Holm)", "AUC difference, mean [95%]",
            "p (Holm)",
        ],
        ([f"`{first}`", f"`{second}`", *cells(ways)] for (first, second), ways in by_pair.items()),
    )  # fmt: skip


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a Markdown table."""
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines)]


def interval(row: Mapping[str, Any], way: str) -> str:
    """Write a value with its bounds.

    >>> interval({"mean": 0.8, "mean_lower": 0.7, "mean_upper": 0.9}, "mean")
    '.800 [.700, .900]'
    """
    value, lower, upper = (row[key] for key in (way, f"{way}_lower", f"{way}_upper"))
    if value is None:
        return "–"
    bounds = "" if lower is None else f" [{short(lower)}, {short(upper)}]"
    return short(value) + bounds


def difference(row: Mapping[str, Any]) -> str:
    """Write a difference with its bounds, always with its sign."""
    bounds = "" if row["lower"] is None else f" [{row['lower']:+.3f}, {row['upper']:+.3f}]"
    return f"{row['difference']:+.3f}{bounds}"


def short(value: float) -> str:
    """Write a share without its leading zero.

    >>> short(0.8), short(1.0), short(-0.05)
    ('.800', '1.000', '-.050')
    """
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.3f}"
