"""The rows of all jobs as tables: what a seed fixes, and apart from it what differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.evaluation.atomic import write_table

from .jobs import Job, Place

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
