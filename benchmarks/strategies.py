# SPDX-License-Identifier: Apache-2.0
r"""Train every fusion strategy and every single phase on the phantom and tabulate their figures.

    python -m workbench.prepare.phantom --extra 1000 --output data/phantom_extra
    python -m benchmarks.strategies --seeds 0 1 2 --jobs 2 --output docs/figures/strategies.csv
    python -m benchmarks.strategies --training_cases 50 --results results/strategies_50 \
        --output docs/figures/strategies_50.csv

One row per strategy and seed; a row that is already there is not trained again, so the command can be killed
and repeated. Each training is a process of its own on one thread: the same `monai.bundle run` a user types.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.prepare.phantom.oracle import CLINICAL, PHASES

from benchmarks.seeds import figures, read_rows, run_bundle, tabulate
from benchmarks.subset import Case, write_subset

FIELDS = (
    "strategy", "seed", "n", "auc", "accuracy", "extra_n", "extra_auc", "extra_auc_lower", "extra_auc_upper",
    "extra_accuracy", "seconds", "threads", "processor", "torch",
)  # fmt: skip
FRAGMENTS = Path("configs/fusion")
NEED_TABLE = ("daft", "film", "table")
"""Strategies that read the clinical table; the others read only images."""


def strategies() -> list[str]:
    """Return all strategies by the names of their fragments, and the single phases as single_<phase>."""
    names = sorted(path.stem for path in FRAGMENTS.glob("*.yaml") if path.stem != "single")
    return [*names, *(f"single_{phase}" for phase in PHASES)]


def first_cases(dataset: Path, number: int, output: Path) -> Path:
    """Write a dataset.json with the first `number` training cases only; return its folder."""

    def first(split: str, cases: list[Case]) -> list[Case]:
        return cases[:number] if split == "training" else cases

    return write_subset(dataset, output, first).parent


def train(strategy: str, seed: int, dataset: Path, extra: Path, results: Path) -> dict[str, Any]:
    """Train and evaluate one strategy with one seed, and return its row."""
    folder = results / f"{strategy}_seed{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    log = results / f"{folder.name}.log"
    single = strategy.startswith("single_")
    overlay = FRAGMENTS / ("single.yaml" if single else f"{strategy}.yaml")
    overrides: dict[str, Any] = {"name": folder.name, "output_dir": folder, "dataset_dir": dataset, "seed": seed}
    if single:
        overrides["single_phase"] = strategy.removeprefix("single_")
    if strategy in NEED_TABLE:
        overrides["clinical"] = [column["name"] for column in CLINICAL]
    start = time.perf_counter()
    run_bundle("training", ["configs/train.yaml", str(overlay)], overrides, log)
    seconds = round(time.perf_counter() - start)
    files = [str(folder / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    overrides = {"bundle_root": folder, "dataset_dir": extra, "output_dir": folder / "extra"}
    run_bundle("evaluating", files, overrides, log)
    further = {f"extra_{name}": value for name, value in figures(folder / "extra").items()}
    row = {"strategy": strategy, "seed": seed, "seconds": seconds, **figures(folder), **further}
    return {name: row[name] for name in FIELDS}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", default=strategies(), help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--dataset", type=Path, default=Path("data/phantom"), help="training cases")
    parser.add_argument(
        "--training_cases", type=int, help="how many training cases to use, from the first; default: all"
    )
    parser.add_argument("--extra", type=Path, default=Path("data/phantom_extra"), help="further test cases")
    parser.add_argument("--results", type=Path, default=Path("results/strategies"), help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per run")
    given = parser.parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    dataset = given.dataset
    if given.training_cases:
        dataset = first_cases(dataset, given.training_cases, given.results / "dataset")
    done = {(row["strategy"], int(row["seed"])) for row in read_rows(given.output)}
    todo = [(name, seed) for seed in given.seeds for name in given.strategies if (name, seed) not in done]
    tabulate(
        todo,
        lambda job: [train(*job, dataset, given.extra, given.results)],
        lambda row: f"{row['strategy']} seed {row['seed']}: AUC {row['extra_auc']:.3f}, {row['seconds']} s",
        given.output,
        FIELDS,
        given.jobs,
    )


if __name__ == "__main__":
    main()
