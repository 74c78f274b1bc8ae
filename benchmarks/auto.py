# SPDX-License-Identifier: Apache-2.0
r"""Compare `auto` with the strategies that it chooses among, and tabulate it beside the best named afterwards.

    python -m benchmarks.auto --name phantom_auto --seeds 0 1 2 --repeats 1 \
        --strategies early concat gated abaf cross_attention late_mean
    python -m benchmarks.auto --name acdc_auto --overlay configs/data/acdc.yaml --repeats 3 \
        --strategies early concat gated abaf cross_attention late_mean

Runs `comparing` with `auto`, which continues where it was stopped: of 6 strategies in 5 x 5 folds 150 inner trainings
per repeat and seed, and 30 outer ones. Then it copies the tables to docs/figures/<name>_comparison, and writes those of
`auto` between the markers of that name in the document. `--check` computes nothing and exits with 1 if the document
differs from the copied tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.marked import keep_part
from benchmarks.results import keep_tables, parser_of
from benchmarks.seeds import run_bundle

SECTIONS = ("auto beside its candidates", "What auto chose")


def section(text: str) -> str:
    """Return the cases and the tables of `auto` of a comparison.md.

    >>> section("# x\\n\\n9 cases.\\n\\n## auto beside its candidates\\n\\n| a |\\n\\n## What auto chose\\n\\n| b |\\n")
    '9 cases.\\n\\n| a |\\n\\n| b |\\n'
    """
    tables = [text.partition(f"## {title}\n\n")[2].partition("\n\n")[0].strip() for title in SECTIONS]
    return "\n\n".join([text.split("\n\n")[1], *tables]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, needs_strategies=True)
    parser.add_argument("--inner_folds", type=int, default=5)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="training seeds")
    parser.add_argument("--dataset", help="dataset folder; default: that of the configuration")
    parser.add_argument("--max_epochs", type=int, help="default: that of the configuration")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the comparison")
    given = parser.parse_args(arguments)
    kept = given.figures / f"{given.name}_comparison"
    if not given.check:
        output = given.results / kept.name
        settings = {"strategies": ["auto", *given.strategies], "candidates": given.strategies, "compared_with": []}
        settings |= {"folds": given.folds, "inner_folds": given.inner_folds, "repeats": given.repeats}
        settings |= {"training_seeds": given.seeds, "name": kept.name, "output_dir": output}
        optional = {"jobs": given.jobs, "dataset_dir": given.dataset, "max_epochs": given.max_epochs}
        settings |= {key: value for key, value in optional.items() if value is not None}
        run_bundle("comparing", ["configs/compare.yaml", *given.overlay], settings)
        keep_tables(output, kept, ("choices.csv", "auto.csv"))
    part = section((kept / "comparison.md").read_text(encoding="utf-8"))
    keep_part(given.document, given.name, part, given.check, "python -m benchmarks.auto")


if __name__ == "__main__":
    main()
