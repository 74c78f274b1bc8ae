# SPDX-License-Identifier: Apache-2.0
"""One training in several processes, compared with one process at the same global batch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.phantom import phantom_folder

FILES = ["configs/train.yaml", "configs/multi_gpu_train.yaml"]
GPUS = torch.cuda.device_count()
PROCESSES = max(2, GPUS)
EPOCHS = 4
HANDLER = "+train#handlers:\n- _target_: benchmarks.performance.epoch_times.EpochTimes\n  file: {file}\n"


def epoch_seconds(work: Path, processes: int, threads: int, overrides: dict[str, Any]) -> float:
    """Train with `processes` of `threads` each; return the median time of an epoch in s.

    The first epoch is left out.
    """
    folder = work / "data_parallel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    overlay, times = folder / "times.yaml", folder / "times.json"
    overlay.write_text(HANDLER.format(file=times), encoding="utf-8")
    files = [*FILES, str(overlay)]
    chosen = {
        "dataset_dir": phantom_folder(work), "output_dir": folder / "run", "max_epochs": EPOCHS,
        "grid_size": [48] * 3, "spacing": [1.5] * 3, "missing_phases": False, "calibrate": False, **overrides,
    }  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += ["-m", "monai.bundle", "run", "training", "--config_file", str(files)]
    for key, value in chosen.items():
        command += [f"--{key}", str(value)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with (work / "data_parallel.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)
    found = json.loads(times.read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    return median(found[1:])


def measure_data_parallel(repeat: int, work: Path, **overrides: Any) -> Figures:
    """Return how many times faster an epoch is in several processes."""
    cores = os.cpu_count() or 1
    each = max(1, cores // PROCESSES)
    several = epoch_seconds(work, PROCESSES, each, overrides)
    one = epoch_seconds(work, 1, each, overrides)
    figures = {"processes": float(PROCESSES), "speedup": one / several, "one_s": one, "several_s": several}
    if not GPUS:
        figures["all_cores_s"] = epoch_seconds(work, 1, cores, overrides)
        figures["against_all_cores"] = figures["all_cores_s"] / several
    return figures


DATA_PARALLEL = Item(
    "data_parallel",
    (
        Figure("processes", "processes", "", 0),
        Figure("speedup", "several processes, against one with as many threads as each", digits=2),
        Figure("against_all_cores", "several processes, against one on all cores", digits=2),
        Figure("one_s", "an epoch, one process", "s"),
        Figure("all_cores_s", "an epoch, one process on all cores", "s"),
        Figure("several_s", "an epoch, several processes", "s"),
    ),
    measure_data_parallel,
    long=True,
)
