# SPDX-License-Identifier: Apache-2.0
"""The rows of all jobs as tables: what a seed fixes, and apart from it what differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.cases.splits import patients_known
from scripts.figures.table import counted
from scripts.files.atomic import write_table, write_text
from workbench.compare.jobs import Job, Place
from workbench.compare.pool import Pool
from workbench.compare.statistics import Row, pairwise_tests, summarise
from workbench.report.comparison import Comparison, comparison_tables

KEY = ("strategy", "repeat", "fold", "site", "seed")


def read_rows(place: Place, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Read what each job left, in the order of the jobs; rows of earlier versions lack the site."""
    return [job.record | json.loads(place.row(job).read_text(encoding="utf-8")) for job in jobs]


def write_report(
    folder: Path, pool: Pool, rows: Sequence[Row], files: Mapping[str, Path], draws: int, seed: int
) -> None:
    """Write all tables, one by one as CSV and together as comparison.md, and print that of the strategies.

    comparison.csv, one row per job, holds what the seeds fix: the same comparison gives the same bytes. Times
    differ from run to run and are in costs.csv. summary.csv and pairs.csv are made of both.

    Args:
        draws, seed: of the bootstrap.
    """
    keys = [key for key in (*KEY, "device", "threads") if key in rows[0]]
    found = Comparison(
        folder,
        jobs=[_flat(row) for row in rows],
        summary=summarise(rows, files, draws, seed),
        pairs=pairwise_tests(rows, files, draws, seed),
        costs=[{key: row[key] for key in keys} | row["costs"] for row in rows],
    )
    write_csv(folder / "comparison.csv", found.jobs)
    write_csv(folder / "costs.csv", found.costs)
    write_csv(folder / "summary.csv", found.summary)
    if found.pairs:
        write_csv(folder / "pairs.csv", found.pairs)
    tables = comparison_tables(found)
    parts = [f"# Comparison: {pool.name}", about(pool, found), *(table.markdown() for table in tables)]
    write_text(folder / "comparison.md", "\n\n".join(parts) + "\n")
    print(f"\n{tables[0].text(left=None)}")


def _flat(row: Row) -> Row:
    """Return the row of a job with its metrics behind the number of patients."""
    items = [(key, value) for key, value in row.items() if key not in ("metrics", "costs")]
    at = [key for key, _ in items].index("n_patients") + 1
    return dict([*items[:at], *row["metrics"].items(), *items[at:]])


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with a header; numbers with six decimals, nothing for None."""
    write_table(path, rows[0], ([_cell(row[key]) for key in rows[0]] for row in rows))


def _cell(value: Any) -> Any:
    return f"{value:.6f}" if isinstance(value, float) else value


def about(pool: Pool, found: Comparison) -> str:
    """Say what was compared on what."""
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
