# SPDX-License-Identifier: Apache-2.0
"""Train a configuration with several seeds and tabulate its test figures.

    python -m benchmarks.seeds --overlay configs/data/adrenalmnist3d.yaml --dataset data/adrenalmnist3d \
        --seeds 0 1 2 --output docs/figures/adrenalmnist3d.csv

One row per seed is kept in the CSV; a seed that is already there is not trained again, so the command can be
killed and repeated. Each training is a process of its own: the same `monai.bundle run` a user types.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from threading import Lock
from typing import Any, TypeVar

Job = TypeVar("Job")
FIELDS = (
    "seed", "n", "auc", "auc_lower", "auc_upper", "accuracy", "accuracy_lower", "accuracy_upper", "seconds",
    "extra_n", "extra_auc", "extra_accuracy", "threads", "processor", "torch", "folder",
)  # fmt: skip


def run_bundle(run_id: str, files: Sequence[str], overrides: dict[str, Any], log: Path | None = None) -> None:
    """Run a configuration in a process of its own, or on one thread with its output in a log."""
    command = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", str(list(files))]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    if log is None:
        subprocess.run(command, check=True)
        return
    with log.open("a", encoding="utf-8") as stream:
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, stdout=stream, stderr=stream, env=alone)


def figures(folder: Path) -> dict[str, Any]:
    """Return the macro figures of an evaluation with their intervals, and the machine that computed them."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    intervals = metrics["intervals"]
    return {
        "n": metrics["n"],
        **{name: metrics["macro"][name] for name in ("auc", "accuracy")},
        **{f"{name}_{side}": intervals[name][side] for name in ("auc", "accuracy") for side in ("lower", "upper")},
        "threads": metrics["threads"],
        "processor": metrics["machine"]["processor"],
        "torch": metrics["versions"]["torch"],
    }


def train_seed(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train one seed, evaluate it, and return its row."""
    folder = Path("results") / f"{arguments.name}_seed{seed}"
    train = ["configs/train.yaml", *arguments.overlay]
    overrides = {"name": folder.name, "seed": seed, "resume": True}
    if arguments.dataset:
        overrides["dataset_dir"] = arguments.dataset
    start = time.perf_counter()
    run_bundle("training", train, overrides)
    row = {"seed": seed, "seconds": round(time.perf_counter() - start), "folder": folder.name, **figures(folder)}
    if arguments.extra:
        files = [str(folder / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
        output = folder / "extra"
        run_bundle("evaluating", files, {"bundle_root": folder, "dataset_dir": arguments.extra, "output_dir": output})
        extra = figures(output)
        row |= {"extra_n": extra["n"], "extra_auc": extra["auc"], "extra_accuracy": extra["accuracy"]}
    return row


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none if there is no file."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def append_row(file: Path, row: dict[str, Any], fields: Sequence[str] = FIELDS) -> None:
    """Add one row to a table, with the header if the file is new."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = not file.is_file()
    with file.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fields)
        if new:
            writer.writeheader()
        writer.writerow(row)


def tabulate(
    jobs: Iterable[Job],
    run: Callable[[Job], list[dict[str, Any]]],
    tell: Callable[[dict[str, Any]], str],
    file: Path,
    fields: Sequence[str],
    at_a_time: int,
) -> None:
    """Run jobs in parallel; add the rows of each to a table and print them as soon as it is done.

    Args:
        jobs: arguments of `run`.
        run: makes the rows of one job.
        tell: one line about a row.
        file: the table.
        fields: its columns.
        at_a_time: jobs that run at the same time.
    """
    lock = Lock()

    def finish(job: Job) -> None:
        rows = run(job)
        with lock:
            for row in rows:
                append_row(file, row, fields)
                print(tell(row), flush=True)

    with ThreadPoolExecutor(at_a_time) as pool:
        list(pool.map(finish, jobs))


def over_seeds(values: Sequence[float]) -> str:
    """Return the mean ± standard deviation of a figure over seeds, and their number.

    >>> over_seeds([0.7, 0.9])
    '0.800 ± 0.141 (n = 2 seeds)'
    """
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread} (n = {len(values)} seeds)"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overlay", nargs="*", default=[], help="configuration files after train.yaml")
    parser.add_argument("--dataset", help="dataset folder; default: that of the configuration")
    parser.add_argument("--extra", help="dataset folder whose test split is evaluated as well")
    parser.add_argument("--name", default="benchmark", help="start of the names of the results folders")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per seed")
    given = parser.parse_args(arguments)
    done = {int(row["seed"]) for row in read_rows(given.output)}
    for seed in given.seeds:
        if seed not in done:
            append_row(given.output, train_seed(given, seed))
    rows = read_rows(given.output)
    for name in ("auc", "accuracy", "extra_auc", "extra_accuracy", "seconds"):
        values = [float(row[name]) for row in rows if row[name]]
        if values:
            print(f"{name}: {over_seeds(values)}")


if __name__ == "__main__":
    main()
