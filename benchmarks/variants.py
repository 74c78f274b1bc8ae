# SPDX-License-Identifier: Apache-2.0
r"""Train variants of a configuration with several seeds and tabulate their test figures.

    python -m benchmarks.variants --data configs/data/adrenalmnist3d.yaml --name adrenal \
        --variants three_views+residual_plane volume_and_views+residual_plane \
        --output docs/figures/views_adrenalmnist3d.csv --document docs/views.md

A variant is the name of a file in configs/fusion, views, encoder or plane_encoder, or several joined by "+"
(`gated+three_views`); `whole` is the configuration as it is. One row per variant and seed; a row that is
already there is not trained again, and a killed training continues where it stopped, so the command can be
killed and repeated. Each training is a process of its own on one thread: the same `monai.bundle run` a
user types.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from scripts.figures.table import markdown_lines
from scripts.files.plain_text import listing

from benchmarks.marked import keep_part, short
from benchmarks.seeds import figures, over_seeds, read_rows, run_bundle, tabulate

FIELDS = (
    "variant", "seed", "n", "auc", "auc_lower", "auc_upper", "accuracy", "accuracy_lower", "accuracy_upper",
    "seconds", "threads", "processor", "torch", "folder",
)  # fmt: skip
KINDS = ("fusion", "views", "encoder", "plane_encoder")
WHOLE = "whole"


def overlays(variant: str, configs: Path = Path("configs")) -> list[str]:
    """Return the files of a variant, in the order of its parts.

    Raises:
        ValueError: a part that no folder has, with the nearest name.

    >>> overlays("whole"), overlays("gated+three_views")
    ([], ['configs/fusion/gated.yaml', 'configs/views/three_views.yaml'])
    """
    found = []
    for part in variant.split("+"):
        if part == WHOLE:
            continue
        files = [configs / kind / f"{part}.yaml" for kind in KINDS]
        there = [file for file in files if file.is_file()]
        if not there:
            known = sorted({file.stem for kind in KINDS for file in (configs / kind).glob("*.yaml")} | {WHOLE})
            raise ValueError(f"--variants: '{part}' must be one of {listing(part, known)}; correct the name")
        found.append(str(there[0]))
    return found


def train(variant: str, seed: int, data: Sequence[str], name: str, dataset: str | None) -> dict[str, Any]:
    """Train and evaluate one variant with one seed, and return its row."""
    folder = Path("results") / f"{name}_{variant.replace('+', '_')}_seed{seed}"
    folder.parent.mkdir(exist_ok=True)
    overrides: dict[str, Any] = {"name": folder.name, "seed": seed, "resume": True}
    if dataset:
        overrides["dataset_dir"] = dataset
    start = time.perf_counter()
    files = ["configs/train.yaml", *data, *overlays(variant)]
    run_bundle("training", files, overrides, folder.with_suffix(".log"))
    seconds = round(time.perf_counter() - start)
    row = {"variant": variant, "seed": seed, "seconds": seconds, "folder": folder.name, **figures(folder)}
    return {field: row[field] for field in FIELDS}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=[], help="names of overlays; whole is none")
    parser.add_argument("--data", nargs="*", default=[], help="overlays of the dataset, after train.yaml")
    parser.add_argument("--dataset", help="dataset folder; default: that of the configuration")
    parser.add_argument("--name", default="variant", help="start of the names of the results folders")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per run")
    parser.add_argument("--document", type=Path, help="page that gets the table, between markers of --name")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        train_missing(given)
    rows = read_rows(given.output)
    if given.document:
        keep_part(given.document, given.name, render(rows), given.check, "python -m benchmarks.variants")
    else:
        print(render(rows))


def train_missing(given: argparse.Namespace) -> None:
    """Train what is missing in the table, and add it."""
    for variant in given.variants:
        overlays(variant)
    done = {(row["variant"], int(row["seed"])) for row in read_rows(given.output)}
    todo = [(name, seed) for seed in given.seeds for name in given.variants if (name, seed) not in done]
    tabulate(
        todo,
        lambda job: [train(*job, given.data, given.name, given.dataset)],
        lambda row: f"{row['variant']} seed {row['seed']}: AUC {row['auc']:.3f}, {row['seconds']} s",
        given.output,
        FIELDS,
        given.jobs,
    )


def render(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the table: for each variant the mean ± standard deviation over seeds, and the interval of one seed."""
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = sorted((row for row in rows if row["variant"] == variant), key=lambda row: int(row["seed"]))
        cells = [f"`{variant}`"]
        for figure in ("auc", "accuracy"):
            low, high = (short(float(own[0][f"{figure}_{side}"])) for side in ("lower", "upper"))
            cells += [over_seeds([float(row[figure]) for row in own]), f"[{low}, {high}]"]
        cells.append(f"{median(float(row['seconds']) for row in own) / 60:.0f}")
        lines.append(cells)
    header = ["variant", "AUC", "seed 0 [95%]", "accuracy", "seed 0 [95%]", "minutes per training"]
    first = rows[0]
    machine = f"{first['threads']} thread on {first['processor']}, torch {first['torch']}"
    return "\n".join([*markdown_lines(header, lines), "", f"n = {first['n']} test cases, {machine}.", ""])


if __name__ == "__main__":
    main()
