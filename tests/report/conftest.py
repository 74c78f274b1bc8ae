# SPDX-License-Identifier: Apache-2.0
"""A results folder in which nothing is to be warned of: 900 cases of two sites, calibrated."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from scripts.engines.environment import environment
from scripts.engines.labelled import LabelledPredictions, write_results
from scripts.metrics.predictions import write_predictions
from workbench.report.dataset import write_record

CLASSES = ["low", "high"]
PHASES = ["pre", "portal"]
SPLITS = {"training": 400, "validation": 100, "test": 400}
GIT = {"revision": "0123456789abcdef0123456789abcdef01234567", "dirty": False}


def record(folder: Path, dataset_dir: Path, split: str = "test", model: Path | None = None) -> None:
    """Write evaluation.json as a run does."""
    model_file = (model or folder) / "models" / "model.pt"
    write_record(folder, [model_file], dataset_dir, split, PHASES, environment("cpu") | {"git": GIT})


def make_dataset(folder: Path, labels: dict[str, list[str]]) -> None:
    """Write dataset.json; every tenth case has no first phase, and all volumes are one file."""
    folder.mkdir()
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.diag([-2, 1, 3, 1]))
    nibabel.save(image, folder / "a.nii.gz")
    document: dict = {"name": "planted", "phases": PHASES, "classes": CLASSES}
    for split, found in labels.items():
        document[split] = [
            {
                "case": f"{split}{i}",
                "site": "AB"[i // 2 % 2],
                "image": {phase: "a.nii.gz" for phase in PHASES if phase != "pre" or i % 10},
                "label": label,
            }
            for i, label in enumerate(found)
        ]
    (folder / "dataset.json").write_text(json.dumps(document))


@pytest.fixture(scope="session")
def clean(tmp_path_factory) -> Path:
    """The folder; its dataset lies beside it."""
    root = tmp_path_factory.mktemp("clean")
    random = np.random.default_rng(0)
    folder, data = root / "results", root / "data"
    (folder / "configs").mkdir(parents=True)
    risk = random.beta(0.6, 0.6, SPLITS["test"])
    label = (random.random(len(risk)) < risk).astype(int)
    drawn = {split: random.permutation([0, 1] * (n // 2)) for split, n in SPLITS.items()} | {"test": label}
    make_dataset(data, {split: [CLASSES[k] for k in found] for split, found in drawn.items()})
    probability = np.stack([1 - risk, risk], axis=1)
    names = [f"test{i}" for i in range(len(risk))]
    write_predictions(folder / "predictions.csv", names, probability, CLASSES, label.tolist())
    with pytest.MonkeyPatch.context() as patch:  # no test of this folder looks at its figures
        patch.setattr(Figure, "savefig", lambda self, file, **options: Path(file).touch())
        found = LabelledPredictions(probability, label, names, probability, 1.2, 0.5)
        write_results(folder, found, CLASSES, "test", 0, 200, "cpu")
    config = {
        "name": "clean",
        "dataset_dir": str(data.resolve()),
        "phases": PHASES,
        "classes": CLASSES,
        "clinical": [],
        "spacing": [2.0, 2.0, 2.0],
        "grid_size": [32, 32, 32],
        "calibrate": True,
        "encoder": {"_target_": "scripts.networks.encoders.ResidualEncoder"},
        "fusion": {"_target_": "scripts.networks.fusion.Concat"},
        "network_def": {"_target_": "x.PhaseFusionNetwork", "encoder": "@encoder", "fusion": "@fusion"},
    }
    (folder / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    (folder / "environment.json").write_text(json.dumps({"seed": 0, **environment("cpu"), "git": GIT}))
    macro = json.loads((folder / "metrics.json").read_text())["macro"]
    with (folder / "learning_curves.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "validation_auc", "validation_accuracy", "best"])
        writer.writerows([[1.0, 0.5, 0.5, 1.0], [2.0, macro["auc"], macro["accuracy"], 1.0], [3.0, 1, 1, 0.0]])
    record(folder, data)
    return folder
