# SPDX-License-Identifier: Apache-2.0
"""Classes in Chinese: in every figure of an evaluation, and in the report."""

from __future__ import annotations

import csv
import json
import warnings

import numpy as np
from PIL import Image
from scripts.engines.labelled import LabelledPredictions, write_results
from scripts.figures import text as fonts
from workbench.report.report import report_folder


def test_chinese_classes_are_drawn_or_numbered_with_a_legend(awkward, tmp_path, monkeypatch):
    with next(awkward("4").rglob("labels.csv")).open(encoding="utf-8") as file:
        labels = [list(row.values())[-1] for row in csv.DictReader(file)]
    classes = sorted(set(labels))
    assert classes == ["恶性", "良性"]
    index = np.array([classes.index(label) for label in labels])
    probability = np.random.default_rng(0).dirichlet((1, 1), len(labels))
    patients = [f"p{i}" for i in range(len(labels))]

    def evaluate(name):
        folder = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of a box
            found = LabelledPredictions(probability, index, patients)
            write_results(folder, found, classes, "test", 0, 5, "cpu")
        with Image.open(folder / "confusion_matrix.png") as picture:
            noted = json.loads(picture.text.get("Names", "{}"))
        return report_folder(folder).read_text(encoding="utf-8"), noted

    evaluate("with the fonts of this machine")
    monkeypatch.setattr(fonts, "_system_fonts", lambda: ())
    monkeypatch.setattr(fonts, "_new_fonts", lambda: ())
    fonts._family.cache_clear()
    page, noted = evaluate("without a font")
    fonts._family.cache_clear()
    assert noted == {"class 1": "恶性", "class 2": "良性"}
    assert "In this figure “class 1” is 恶性; “class 2” is 良性." in page
