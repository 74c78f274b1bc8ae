# SPDX-License-Identifier: Apache-2.0
r"""How often prediction sets hold the true class: simulated, and of the shipped model on further phantom cases by site.

Simulated: both the n calibration cases and the tested ones are drawn anew in each run, from an imperfect model of
three classes; the mean over runs should be ceil((n + 1)(1 - alpha)) / (n + 1). Phantom: `run evaluating` of
models/model.pt, whose sets come from its 40 validation cases.

python -m workbench.prepare.phantom --extra 1000 --output data/phantom_extra
python -m benchmarks.set_coverage --extra data/phantom_extra --output docs/figures/set_coverage.csv \
    --document docs/results.md

`--check` computes nothing and exits with 1 if the document differs from the table of figures.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scripts.figures.table import bounds_text, markdown_lines
from scripts.metrics.prediction_sets import LEVELS, Evidence

from benchmarks.marked import keep_part
from benchmarks.seeds import read_rows, run_bundle

SIZES = (16, 40, 200)  # calibration cases
TESTED = 40  # cases of each run
FIELDS = ("what", "n", "level", "expected", "coverage", "lower", "upper")


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities [n, 3] of an imperfect model, and labels [n]."""
    label = rng.integers(3, size=n)
    found = np.exp(rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[label])
    return found / found.sum(axis=1, keepdims=True), label


def simulated(n: int, level: float, runs: int) -> dict[str, Any]:
    """Return the mean coverage over runs with n calibration cases, with its 95% Monte Carlo interval."""
    rng = np.random.default_rng([n, round(1000 * level), runs])
    shares = []
    for _ in range(runs):
        evidence = Evidence([drawn(rng, n)], "calibration")
        probability, label = drawn(rng, TESTED)
        shares.append(evidence.sets(probability[None], level)[np.arange(TESTED), label].mean())
    mean, half = float(np.mean(shares)), 1.96 * float(np.std(shares, ddof=1)) / math.sqrt(runs)
    expected = min(1.0, math.ceil((n + 1) * level - 1e-9) / (n + 1))
    return _row("simulated", n, level, expected, mean, (mean - half, mean + half))


def of_phantom(extra: Path) -> list[dict[str, Any]]:
    """Evaluate the shipped model on further cases; return the coverage of all of them, of each class and site."""
    with TemporaryDirectory() as folder:
        keys = {"dataset_dir": str(extra.resolve()), "output_dir": f"{folder}/out", "missing_phases": False}
        run_bundle("evaluating", ["configs/train.yaml", "configs/evaluate.yaml"], keys, Path(folder) / "log")
        sets = json.loads((Path(folder) / "out" / "metrics.json").read_text(encoding="utf-8"))["prediction_sets"]
    return [
        _row(group["group"], group["n"], at["level"], at["level"], at["coverage"], at["coverage_interval"])
        for group in sets["groups"]
        for at in group["levels"]
    ]


def _row(what: str, n: int, level: float, expected: float, coverage: float, bounds: Sequence[float]) -> dict[str, Any]:
    values = (what, n, level, *(f"{value:.4f}" for value in (expected, coverage, *bounds)))
    return dict(zip(FIELDS, values, strict=True))


def render(rows: Sequence[Mapping[str, str]], runs: int) -> str:
    """Return both tables."""
    tables = []
    for title, chosen in (("calibration cases", True), ("phantom cases", False)):
        own = [row for row in rows if (row["what"] == "simulated") == chosen]
        lines = []
        for what, n in dict.fromkeys((row["what"], row["n"]) for row in own):
            cells = []
            for row in (one for one in own if (one["what"], one["n"]) == (what, n)):
                text = f"{float(row['coverage']):.3f}" + bounds_text(float(row["lower"]), float(row["upper"]))
                cells.append(text + (f"; {float(row['expected']):.3f}" if chosen else ""))
            lines.append([n if chosen else f"{what} ({n})", *cells])
        if lines:
            tables.append("\n".join(markdown_lines([title, *(f"at {level:.0%}" for level in LEVELS)], lines)))
    note = (
        f"Simulated: mean of {runs} runs [95% Monte Carlo interval]; what it should be. Phantom: share of cases whose "
        "set holds the true class [Wilson's 95% interval]."
    )
    return "\n\n".join([*tables, note]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="simulated runs per row")
    parser.add_argument("--extra", type=Path, help="dataset folder whose test split is evaluated")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per number of cases and level")
    parser.add_argument("--document", type=Path, help="page that gets the tables, between its markers")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 on a difference")
    given = parser.parse_args(arguments)
    if not given.check:
        rows = [simulated(n, level, given.runs) for n in SIZES for level in LEVELS]
        rows += of_phantom(given.extra) if given.extra else []
        with given.output.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    part = render(read_rows(given.output), given.runs)
    if given.document:
        keep_part(given.document, "set_coverage", part, given.check, "python -m benchmarks.set_coverage")
    else:
        print(part)


if __name__ == "__main__":
    main()
