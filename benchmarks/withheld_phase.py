# SPDX-License-Identifier: Apache-2.0
"""Measure the effect of phase dropout: one phase is withheld from every test case of the phantom.

    python -m workbench.prepare.phantom --extra 1000 --output data/phantom_extra
    python -m benchmarks.withheld_phase --jobs 2 --output docs/figures/withheld_phase.csv
    python -m benchmarks.withheld_phase --rates 0.3 --max_epochs 120 --output docs/figures/withheld_phase.csv

One row per rate of `phase_dropout`, length of training, seed and withheld phase; existing rows are not
computed again.
The oracle is the best possible reader of the remaining phases, on the same cases. Cases without any
remaining phase are removed.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas
from sklearn.metrics import roc_auc_score
from workbench.prepare.phantom.oracle import PHASES

from benchmarks.seeds import figures, read_rows, run_bundle, tabulate
from benchmarks.subset import Case, write_subset

FIELDS = (
    "phase_dropout", "max_epochs", "seed", "withheld", "n", "auc", "auc_lower", "auc_upper", "oracle_auc",
    "threads", "processor", "torch",
)  # fmt: skip


def without(dataset: Path, phase: str, output: Path) -> Path:
    """Write a dataset.json of the same test cases without one phase, and return its path."""

    def leave_out(split: str, cases: list[Case]) -> list[Case]:
        if split != "test":
            return cases
        left = [
            case | {"image": {name: path for name, path in case["image"].items() if name != phase}} for case in cases
        ]
        return [case for case in left if case["image"]]

    return write_subset(dataset, output, leave_out)


def oracle_auc(dataset: Path, phase: str) -> float:
    """Return the AUC of the true probability given the remaining phases, over cases that have any."""
    truth = pandas.read_csv(dataset / "truth.csv")
    labels, scores = [], []
    for row in truth.to_dict("records"):
        left = [name for name in str(row["phases"]).split() if name != phase]
        if left:
            labels.append(row["label"] == "high")
            scores.append(row["p_true_" + "_".join(left)] if len(left) < len(PHASES) else row["p_true_all"])
    return float(roc_auc_score(labels, scores))


def run(
    rate: float, epochs: int, seed: int, dataset: Path, results: Path, withheld: Sequence[str]
) -> list[dict[str, Any]]:
    """Train with one rate and seed, and evaluate without each of the phases."""
    folder = results / f"dropout{rate:g}_epochs{epochs}_seed{seed}"
    log = results / f"{folder.name}.log"
    if not (folder / "metrics.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        overrides = {"name": folder.name, "output_dir": folder, "seed": seed}
        overrides |= {"phase_dropout": rate, "max_epochs": epochs}
        run_bundle("training", ["configs/train.yaml"], overrides, log)
    files = [str(folder / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
    rows = []
    for phase in withheld:
        output = folder / f"without_{phase}"
        cases = without(dataset, phase, output)
        run_bundle("evaluating", files, {"bundle_root": folder, "dataset_dir": cases, "output_dir": output}, log)
        row = {
            "phase_dropout": rate,
            "max_epochs": epochs,
            "seed": seed,
            "withheld": phase,
            "oracle_auc": oracle_auc(dataset, phase),
        }
        found = row | figures(output)
        rows.append({name: found[name] for name in FIELDS})
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.0, 0.1, 0.3], help="phase_dropout")
    parser.add_argument("--max_epochs", type=int, default=60, help="length of the trainings")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--dataset", type=Path, default=Path("data/phantom_extra"), help="further test cases")
    parser.add_argument("--results", type=Path, default=Path("results/withheld"), help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per evaluation")
    given = parser.parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    done = {
        (float(row["phase_dropout"]), int(row["max_epochs"]), int(row["seed"]), row["withheld"])
        for row in read_rows(given.output)
    }

    def rows_of(job: tuple[float, int, int]) -> list[dict[str, Any]]:
        todo = [phase for phase in PHASES if (*job, phase) not in done]
        return run(*job, given.dataset, given.results, todo) if todo else []

    tabulate(
        [(rate, given.max_epochs, seed) for seed in given.seeds for rate in given.rates],
        rows_of,
        lambda row: (
            f"phase_dropout {row['phase_dropout']:g}, {row['max_epochs']} epochs, seed {row['seed']}, "
            f"without {row['withheld']}: AUC {row['auc']:.3f}, possible {row['oracle_auc']:.3f}"
        ),
        given.output,
        FIELDS,
        given.jobs,
    )


if __name__ == "__main__":
    main()
