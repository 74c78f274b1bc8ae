# SPDX-License-Identifier: Apache-2.0
"""A comparison of strategies over folds: trainings in parallel, compared with one after another."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from workbench.prepare.phantom.dataset import make_phantom

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.timing import seconds
from benchmarks.seeds import run_bundle

STRATEGIES, FOLDS = ("concat", "mean", "gated", "abaf"), 5
SPLITS = {"training": 40, "validation": 10, "test": 10}
EPOCHS = 3


def compare(dataset: Path, output: Path, jobs: int | None, overrides: dict[str, Any]) -> None:
    """Run a comparison from scratch, with a cache of its own."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    chosen = {
        "dataset_dir": dataset, "output_dir": output / "comparison", "cache_dir": output / "cache",
        "strategies": f"[{', '.join(STRATEGIES)}]", "folds": FOLDS, "repeats": 1, "draws": 100,
        "max_epochs": EPOCHS, "jobs": "None" if jobs is None else jobs,
    }  # fmt: skip
    run_bundle("comparing", ["configs/compare.yaml"], chosen | overrides, output / "log.txt")
    shutil.rmtree(output)


def measure_folds(repeat: int, work: Path, **overrides: Any) -> Figures:
    """Return the times of the comparison with one training at a time, and with one per core."""
    dataset = work / "phantom_of_folds"
    if not (dataset / "dataset.json").is_file():
        make_phantom(dataset, splits=SPLITS, progress=False)
    output = work / "folds"
    alone = seconds(lambda: compare(dataset, output, 1, overrides))
    together = seconds(lambda: compare(dataset, output, None, overrides))
    return {"speedup": alone / together, "alone_s": alone, "together_s": together}


FOLDS_AT_ONCE = Item(
    "folds",
    (
        Figure("speedup", "one training per core, against one after another", digits=2),
        Figure("alone_s", "one after another", "s", 0),
        Figure("together_s", "one per core", "s", 0),
    ),
    measure_folds,
    long=True,
)
