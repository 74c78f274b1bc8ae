r"""Trains variants of a configuration with several seeds and tabulates their test figures.

    python -m benchmarks.variants --data configs/data/adrenalmnist3d.yaml --name adrenal \
        --variants whole axial coronal sagittal three_views volume_and_views three_resnet18 \
        --output docs/figures/views_adrenalmnist3d.csv
    python -m benchmarks.variants --data configs/data/acdc.yaml --name acdc \
        --variants concat se cbam adaptive_conv spatial_gated depthwise multi_level \
        --output docs/figures/maps_acdc.csv

A variant is the name of a file in configs/fusion, configs/views or configs/encoder, or several joined by "+"
(`gated+three_views`); `whole` is the configuration as it is. One row per variant and seed; a row that is
already there is not trained again, and a training that was killed goes on where it stopped, so the command
can be killed and repeated. Each training is a process of its own on one thread: the same `monai.bundle run` a
user types.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.seeds import figures, over_seeds, read_rows, run_bundle, tabulate
from scripts.data.nearest import listing

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
            known = sorted(
                {file.stem for kind in KINDS for file in (configs / kind).glob("*.yaml")} | {WHOLE}
            )
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
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variants", nargs="+", required=True, help="names of overlays; whole is none")
    parser.add_argument("--data", nargs="*", default=[], help="overlays of the dataset, behind train.yaml")
    parser.add_argument("--dataset", help="dataset folder; default: that of the configuration")
    parser.add_argument("--name", default="variant", help="start of the names of the results folders")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per run")
    given = parser.parse_args(arguments)
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
    rows = read_rows(given.output)
    for variant in dict.fromkeys(row["variant"] for row in rows):
        for figure in ("auc", "accuracy"):
            values = [float(row[figure]) for row in rows if row["variant"] == variant]
            print(f"{variant} {figure}: {over_seeds(values)}")


if __name__ == "__main__":
    main()
