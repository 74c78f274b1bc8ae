# SPDX-License-Identifier: Apache-2.0
r"""Whole scans of the phantom without a mask: is the lesion found, and is it graded?

    python -m workbench.prepare.phantom --extra 1000 --output data/phantom_extra
    python -m benchmarks.phantom_outlined --seeds 0 --output docs/figures/phantom_outlined.csv
    python -m benchmarks.phantom_outlined --seeds 0 --output docs/figures/phantom_outlined.csv \
        --variant longer --set outline_max_epochs=120 outline_threshold=0.15 "outline_flips=['D','H']"

Each seed trains `configs/regions/outlined.yaml`, and evaluates both networks on the further cases: the outliner on
their whole scans, the classifier on what it outlines. One row per variant and seed; a row that is there is not
computed again, so the command can be killed and repeated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.engines.outliner import WHOLE

from benchmarks.seeds import append_row, figures, read_rows, run_bundle

FIELDS = (
    "variant", "seed", "cases", "dice", "dice_lower", "dice_upper", "found", "found_lower", "found_upper",
    "false_positives", "false_positives_lower", "false_positives_upper", "found_at_0.1", "auc", "auc_lower",
    "auc_upper", "accuracy", "settings", "processor", "torch",
)  # fmt: skip
RATE = 0.1
"""False positives per case at which the share of lesions found is told."""


def at_rate(froc: Sequence[Sequence[float | None]], rate: float = RATE) -> float | None:
    """Return the sensitivity at the last point of a FROC curve with at most so many false positives per case.

    >>> at_rate([[0.0, 0.5, None, None], [0.08, 0.9, None, None], [0.2, 0.95, None, None]])
    0.9
    """
    return [point[1] for point in froc if point[0] is not None and point[0] <= rate][-1]


def outline_figures(folder: Path) -> dict[str, Any]:
    """Return Dice and lesions of an evaluation of whole scans, with 95% intervals by patient."""
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    row, lesions = content["outlines"][0], content["lesions"]
    found: dict[str, Any] = {"cases": lesions["n_cases"], "dice": row["dice"]}
    found |= {"found": lesions["sensitivity"], "false_positives": lesions["false_positives_per_case"]}
    found["found_at_0.1"] = at_rate(lesions["froc"])
    for name, bounds in (
        ("dice", row["dice_interval"]),
        ("found", lesions["sensitivity_interval"]),
        ("false_positives", lesions["false_positives_per_case_interval"]),
    ):
        found |= {f"{name}_lower": bounds[0], f"{name}_upper": bounds[1]}
    return found


def measure(variant: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Train one seed, evaluate both of its networks, and return the row."""
    folder = given.results / f"{variant}_seed{seed}"
    files = ["configs/train.yaml", "configs/regions/outlined.yaml"]
    chosen = dict(setting.split("=", 1) for setting in given.set)
    if not (folder / "metrics.json").is_file():
        settings = {
            "name": folder.name,
            "output_dir": folder,
            "dataset_dir": given.dataset,
            "seed": seed,
            "resume": True,
        }
        run_bundle("training", files, settings | chosen)
    for place in (folder, folder / "outliner" / WHOLE):
        if not (place / "extra" / "metrics.json").is_file():
            files = [str(place / "configs" / f"{name}.yaml") for name in ("train", "evaluate")]
            settings = {"bundle_root": place, "dataset_dir": given.extra, "output_dir": place / "extra"}
            settings["missing_phases"] = False
            run_bundle("evaluating", files, settings)
    row = {"variant": variant, "seed": seed, "settings": " ".join(given.set)}
    row |= figures(folder / "extra") | outline_figures(folder / "outliner" / WHOLE / "extra")
    return {name: row[name] for name in FIELDS}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="outlined", help="name of the rows")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="what differs from outlined.yaml")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--dataset", type=Path, default=Path("data/phantom"), help="training cases")
    parser.add_argument("--extra", type=Path, default=Path("data/phantom_extra"), help="further test cases")
    parser.add_argument("--results", type=Path, default=Path("results/phantom_outlined"), help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per variant and seed")
    given = parser.parse_args(arguments)
    done = {(row["variant"], int(row["seed"])) for row in read_rows(given.output)}
    for seed in given.seeds:
        if (given.variant, seed) not in done:
            append_row(given.output, measure(given.variant, seed, given), FIELDS)
    for row in read_rows(given.output):
        print(
            f"{row['variant']} seed {row['seed']}: {float(row['found']):.1%} found at "
            f"{float(row['false_positives']):.2f} false positives per case, "
            f"Dice {float(row['dice']):.3f}, AUC {float(row['auc']):.3f}"
        )


if __name__ == "__main__":
    main()
