# SPDX-License-Identifier: Apache-2.0
"""Compare strategies on a dataset by repeated cross-validation and write the tables of docs/results.md.

    python -m benchmarks.results --name acdc --overlay configs/data/acdc.yaml \
        --strategies early concat gated abaf cross_attention late_mean --folds 5 --repeats 3

Runs `comparing` with these settings, which continues where it was stopped; then copies its tables to
docs/figures/<name>_comparison, and that of the strategies between the markers of that name in the document.
`--check` computes nothing and exits with 1 if the document differs from the copied tables.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.marked import keep_part
from benchmarks.seeds import run_bundle

TABLES = ("comparison.md", "comparison.csv", "summary.csv", "pairs.csv")


def section(text: str) -> str:
    """Return the cases and the table of strategies of a comparison.md.

    >>> section("# Comparison: x\\n\\n100 cases.\\n\\n## Strategies\\n\\n| a |\\n\\n## Pairs\\n| b |\\n")
    '100 cases.\\n\\n| a |\\n'
    """
    cases = text.split("\n\n")[1]
    table = text.partition("## Strategies\n\n")[2].partition("\n\n")[0]
    return f"{cases}\n\n{table}\n"


def parser_of(description: str | None, needs_strategies: bool = False) -> argparse.ArgumentParser:
    """Return the options of a benchmark that runs `comparing` and keeps its tables."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the comparison, and of its markers")
    parser.add_argument("--overlay", nargs="+", default=[], help="configuration files after compare.yaml")
    named = "overlays of configs/fusion, single_<phase>"
    parser.add_argument("--strategies", nargs="+", required=needs_strategies, help=named)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jobs", type=int, help="trainings at a time; default: one per core")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    parser.add_argument("--document", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    return parser


def keep_tables(source: Path, kept: Path, further: Sequence[str] = ()) -> None:
    """Copy the tables of a comparison to where they are committed."""
    kept.mkdir(parents=True, exist_ok=True)
    for table in (*TABLES, *further):
        shutil.copyfile(source / table, kept / table)


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser_of(__doc__).parse_args(arguments)
    kept = given.figures / f"{given.name}_comparison"
    if not given.check:
        settings = {"strategies": given.strategies, "folds": given.folds, "repeats": given.repeats}
        settings |= {"name": kept.name} | ({"jobs": given.jobs} if given.jobs else {})
        run_bundle("comparing", ["configs/compare.yaml", *given.overlay], settings)
        keep_tables(Path("results") / kept.name, kept)
    part = section((kept / "comparison.md").read_text(encoding="utf-8"))
    keep_part(given.document, given.name, part, given.check, "python -m benchmarks.results")


if __name__ == "__main__":
    main()
