# SPDX-License-Identifier: Apache-2.0
"""Compare scaling all phases together with scaling each alone, on the phantom with one scale and with three.

    OMP_NUM_THREADS=1 python -m benchmarks.intensity_scale --output docs/figures/intensity_scale.csv \
        --document docs/results.md

Two datasets: `one scale`, the phantom's voxels, whose three phases share their units like those of one dynamic
series; `three scales`, the same voxels x 0.3, 1 and 3, as MR sequences may differ. Each is trained with z-scores
over all phases together and over each alone, for 30 epochs with every seed, and tested once on 400 further cases.
One row per training is kept in the CSV; a training that has one is skipped, so the command can be killed and
repeated. Each training is a process of its own on one thread: the same `monai.bundle run` a user types.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scripts.figures.table import markdown_lines
from scripts.volumes.open import open_volume
from workbench.prepare.derived import write_nifti
from workbench.prepare.phantom.dataset import DEFAULT_CASES, make_phantom
from workbench.prepare.phantom.oracle import PHASES

from benchmarks.marked import keep_part, short
from benchmarks.seeds import figures, over_seeds, read_rows, run_bundle, tabulate
from benchmarks.subset import Case, write_subset

FIELDS = (
    "data", "rule", "seed", "n", "auc", "auc_lower", "auc_upper", "accuracy", "accuracy_lower",
    "accuracy_upper", "seconds", "threads", "processor", "torch", "folder",
)  # fmt: skip
FACTORS = {"one scale": (1.0, 1.0, 1.0), "three scales": (0.3, 1.0, 3.0)}
RULES = {"per phase": False, "joint": True}
EPOCHS = 30
"""Passes through the 120 training cases: half as many as by default."""
EXTRA = 400
"""Number of test cases: 200 to 599 of the phantom."""


def scaled_phantom(data: str, folder: Path) -> Path:
    """Write the phantom, with the further test cases and one factor per phase, and return its folder."""
    training, test, output = folder / "phantom", folder / "extra", folder / data.replace(" ", "_")
    if not (training / "dataset.json").is_file():
        make_phantom(training)
    if not (test / "dataset.json").is_file():
        make_phantom(test, first=DEFAULT_CASES, splits={"test": EXTRA})
    if (output / "dataset.json").is_file():
        return output
    factors = dict(zip(PHASES, FACTORS[data], strict=True))
    further = json.loads((test / "dataset.json").read_text(encoding="utf-8"))["test"]

    def scaled(entry: Case, source: Path) -> Case:
        paths = {}
        for phase, path in entry["image"].items():
            volume = open_volume(source / path, f"case {entry['case']}: phase '{phase}'")
            file = (output / entry["case"] / f"{phase}.nii.gz").resolve()
            file.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(file, volume.read_image() * np.float32(factors[phase]), volume.affine)
            paths[phase] = str(file)
        return entry | {"image": paths, "roi": str((source / entry["roi"]).resolve())}

    def choose(split: str, cases: list[Case]) -> list[Case]:
        if split == "test":
            return [scaled(entry, test) for entry in further]
        return [scaled(entry, training) for entry in cases]

    return write_subset(training, output, choose).parent


def train(data: str, rule: str, seed: int, datasets: Path) -> dict[str, Any]:
    """Train one dataset with one rule and seed, and return its row."""
    folder = Path("results") / f"scale_{data}_{rule}_seed{seed}".replace(" ", "_")
    folder.parent.mkdir(exist_ok=True)
    intensity = {
        "_target_": "scripts.transforms.ZScoreIntensityd",
        "keys": "image",
        "joint": RULES[rule],
        "statistics": "region",
    }
    overlay = folder.with_suffix(".yaml")
    keys = {"intensity": intensity, "max_epochs": EPOCHS, "missing_phases": False}
    overlay.write_text(json.dumps(keys), encoding="utf-8")
    overrides = {"name": folder.name, "dataset_dir": scaled_phantom(data, datasets), "seed": seed}
    start = time.perf_counter()
    files = ["configs/train.yaml", str(overlay)]
    run_bundle("training", files, overrides | {"resume": True}, folder.with_suffix(".log"))
    seconds = round(time.perf_counter() - start)
    row = {"data": data, "rule": rule, "seed": seed, "seconds": seconds, "folder": folder.name}
    row |= figures(folder)
    return {field: row[field] for field in FIELDS}


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the table: mean ± standard deviation over seeds, each seed, and the interval of one."""
    lines = []
    for data, rule in product(FACTORS, RULES):
        own = sorted((row for row in rows if (row["data"], row["rule"]) == (data, rule)), key=lambda r: int(r["seed"]))
        if own:
            aucs = [float(row["auc"]) for row in own]
            low, high = (short(float(own[0][f"auc_{side}"])) for side in ("lower", "upper"))
            accuracy = over_seeds([float(row["accuracy"]) for row in own])
            each = ", ".join(short(value) for value in aucs)
            lines.append([data, rule, over_seeds(aucs), each, f"[{low}, {high}]", accuracy])
    header = ["phases of", "z-scores", "AUC", "of each seed", "seed 0 [95%]", "accuracy"]
    first = rows[0]
    machine = f"{first['threads']} thread on {first['processor']}, torch {first['torch']}"
    return "\n".join([*markdown_lines(header, lines), "", f"n = {first['n']} test cases, {machine}.", ""])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--datasets", type=Path, default=Path("data/scales"), help="folder of the datasets")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per training")
    parser.add_argument("--document", type=Path, help="page that gets the table, between its markers")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    done = {(row["data"], row["rule"], int(row["seed"])) for row in read_rows(given.output)}
    jobs = [(data, rule, seed) for seed in given.seeds for rule, data in product(given.rules, FACTORS)]
    if not given.check:
        tabulate(
            [job for job in jobs if job not in done],
            lambda job: [train(*job, given.datasets)],
            lambda row: f"{row['data']}, {row['rule']}, seed {row['seed']}: AUC {row['auc']:.3f}",
            given.output,
            FIELDS,
            at_a_time=1,
        )
    rows = read_rows(given.output)
    if given.document:
        command = "python -m benchmarks.intensity_scale"
        keep_part(given.document, "intensity_scale", render(rows), given.check, command)
    else:
        print(render(rows))


if __name__ == "__main__":
    main()
