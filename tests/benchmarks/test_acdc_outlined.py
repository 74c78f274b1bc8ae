# SPDX-License-Identifier: Apache-2.0
"""The table of ACDC from images alone: what is compared with what, from finished comparisons as they lie."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scripts.engines.outlines import COLUMNS as OUTLINED
from scripts.metrics.predictions import write_predictions

from benchmarks.acdc_outlined import COLUMNS, figures, render

CLASSES = ["NOR", "DCM"]
HEADER = ",".join(OUTLINED)


def finish(folder, strategy: str, right: float, repeats: int = 1, folds: int = 5) -> None:
    """Write the predictions of a contender: 10 patients, the first ones right."""
    rng = np.random.default_rng(0)
    for repeat in range(1, repeats + 1):
        for fold in range(1, folds + 1):
            name = f"{strategy}_r{repeat}_f{fold}_s0"
            cases = [f"p{number}" for number in (2 * fold - 2, 2 * fold - 1)]
            labels = [int(case[1:]) % 2 for case in cases]
            sure = [0.9 if int(case[1:]) < 10 * right else 0.2 + 0.1 * rng.random() for case in cases]
            rows = np.array([[p, 1 - p] if label == 0 else [1 - p, p] for p, label in zip(sure, labels, strict=True)])
            file = folder / "jobs" / name / "predictions.csv"
            write_predictions(file, cases=cases, probabilities=rows, classes=CLASSES, labels=labels, patients=cases)
            (folder / "rows").mkdir(exist_ok=True)
            row = {"strategy": strategy, "repeat": repeat, "fold": fold}
            (folder / "rows" / f"{name}.json").write_text(json.dumps(row))


def test_figures_of_finished_repeats_alone(tmp_path):
    finish(tmp_path / "measures", "random_forest", 1.0, repeats=2)
    finish(tmp_path / "measures", "random_forest_ed", 0.6)
    finish(tmp_path / "measures", "logistic_regression", 0.8, folds=4)  # is still running
    finish(tmp_path / "images", "concat", 0.8)
    rows = [{key: row.get(key) for key in COLUMNS} for row in figures(tmp_path)]
    of = {(row["figure"], row["of"]): row for row in rows}
    assert of["accuracy", "random_forest"]["value"] == 1.0
    assert of["accuracy", "random_forest"]["repeats"] == 2
    assert ("accuracy", "logistic_regression") not in of
    assert of["accuracy", "images"]["value"] == pytest.approx(0.8)
    assert of["accuracy", "mean"]["repeats"] == 1
    difference = of["difference of accuracy", "random_forest - random_forest_ed"]
    assert difference["value"] == pytest.approx(0.4)
    assert difference["repeats"] == 1, "a single phase stands beside the same repeats of both"
    assert difference["lower"] > 0
    text = render([{key: "" if value is None else str(value) for key, value in row.items()} for row in rows])
    assert "| measures, random forest | 2 | 10 | 1.000 [" in text
    assert "| `random_forest - random_forest_ed` | 1 | +.400 [" in text


def test_dice_of_networks_that_left_out_one_fold_alone(tmp_path):
    for name, dice in (("r1_without_1", 0.9), ("r1_without_2", 0.8), ("r1_without_1_2", 0.1), ("r1_without_1_ed", 0.5)):
        folder = tmp_path / "outliner" / name
        folder.mkdir(parents=True)
        lines = [f"p{name[11]}{mask},p{name[11]},{mask},wall,5,6,{dice},,,,," for mask in ("ed", "es")]
        (folder / "outlines.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    rows = {(row["figure"], row["of"]): row for row in figures(tmp_path)}
    assert rows["dice", "wall, all"]["value"] == pytest.approx(0.85)
    assert rows["dice", "wall, all"]["n"] == 2
    assert rows["dice", "wall, ed, seen alone"]["value"] == pytest.approx(0.5)
