# SPDX-License-Identifier: Apache-2.0
"""Measure the shipped model in every runtime, and write the table of docs/deploy.md.

    python -m benchmarks.export_latency

Runs `exporting` with the shipped model and keeps its table in docs/figures/export_latency.csv. `--check` measures
nothing and exits with 1 if the document differs from that file.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.marked import keep_part
from benchmarks.seeds import read_rows, run_bundle

FIGURES, DOCUMENT = Path("docs/figures/export_latency.csv"), Path("docs/deploy.md")
ROUNDS = 50


def render(figures: Path) -> str:
    """Return the table of the runtimes, and on which machine it was measured."""
    rows = read_rows(figures)
    lines = [
        "| runtime | file | MB | largest difference of a logit | ms per case, median (range) |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['runtime']} | `{row['file']}` | {row['megabytes']} | {row['largest_difference']} | "
        f"{row['ms_per_case']} ({row['ms_fastest']} to {row['ms_slowest']}) |"
        for row in rows
    ]
    first = rows[0]
    lines += [
        "",
        f"One case of 3 × 32³ voxels at a time, n = {first['rounds']} rounds, threads {first['threads']}, "
        f"{first['processor']}, torch {first['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        run_bundle("exporting", ["configs/inference.yaml", "configs/export.yaml"], {"rounds": ROUNDS})
        shutil.copyfile("exports.csv", FIGURES)
    keep_part(DOCUMENT, "latency", render(FIGURES), given.check, "python -m benchmarks.export_latency")


if __name__ == "__main__":
    main()
