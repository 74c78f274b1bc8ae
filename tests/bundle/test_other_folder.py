# SPDX-License-Identifier: Apache-2.0
"""The bundle's files, run from a folder that is not the bundle's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from scripts.files.errors import message_of


@pytest.mark.slow
def test_training_writes_its_results_where_it_was_started(bundle, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in quick.items() if key != "bundle_root"} | {"max_epochs": 1}
    bundle("training", ["configs/train.yaml"], name="away", **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    described = json.loads((tmp_path / "results" / "away" / "configs" / "metadata.json").read_text())
    assert described["eval_metrics"]["test_cases"] == 8


def test_misspelt_keys_are_found_there_too(bundle, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {key: value for key, value in quick.items() if key != "bundle_root"}
    with pytest.raises(RuntimeError) as caught:
        bundle("training", ["configs/train.yaml"], max_epoch=1, **settings)
    assert "did you mean 'max_epochs'?" in (message_of(caught.value) or "")
    assert list(tmp_path.iterdir()) == []


def test_inference_there_says_that_the_weights_are_not_there(bundle, small_phantom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError) as caught:
        bundle("inferring", ["configs/inference.yaml"], dataset_dir=str(small_phantom))
    assert "models/model.pt does not exist; train first, or give --bundle_root" in (message_of(caught.value) or "")
    assert list(tmp_path.iterdir()) == []


def test_a_results_folder_trains_without_the_workbench(trained, quick, tmp_path):
    """Predictions, metrics, ROC and confusion matrix are the same; one line says who makes the rest."""
    alone = tmp_path / "alone"
    kept = ("configs", "scripts", "models")
    shutil.copytree(
        trained, alone, ignore=lambda place, names: [n for n in names if place == str(trained) and n not in kept]
    )
    command = ["monai.bundle", "run", "training", "--config_file", "configs/train.yaml"]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    clean["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # on which the weights depend
    line = [sys.executable, "-m", *command, "--output_dir", "../again"]
    done = subprocess.run(line, cwd=alone, env=clean, capture_output=True, text=True)
    again = tmp_path / "again"
    assert done.returncode == 0, done.stderr
    made = {path.name for path in again.iterdir() if path.suffix in (".png", ".csv", ".json", ".html")}
    assert made == {
        "confusion_matrix.png", "environment.json", "learning_curves.csv", "metrics.json", "predictions.csv",
        "roc.png", "subgroups.csv",
    }  # fmt: skip
    assert (again / "predictions.csv").read_bytes() == (trained / "predictions.csv").read_bytes()
    assert (done.stdout + done.stderr).count("further figures and report.html are made where") == 1
    assert "workbench" not in {path.name for path in again.rglob("*")}
