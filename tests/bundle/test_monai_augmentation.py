# SPDX-License-Identifier: Apache-2.0
"""Trainings from the command line with random transforms of MONAI in `augmentation`, in one overlay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TRANSFORMS = {
    "RandGaussianNoise": {"prob": 0.5, "std": 0.05},
    "RandFlip": {"prob": 0.5, "spatial_axis": 0},
    "RandGaussianSmooth": {"prob": 0.5},
    "RandAdjustContrast": {"prob": 0.5},
    "RandScaleIntensity": {"prob": 0.5, "factors": 0.1},
    "RandGaussianNoised": {"keys": "image", "prob": 0.5},
}


def train(overlay: dict, quick: dict, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    files = str([str(ROOT / "configs" / "train.yaml"), str(folder / "overlay.yaml")])
    settings = quick | {"max_epochs": 1, "output_dir": str(folder / "out"), "missing_phases": False}
    given = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    line = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", files, *given]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


def augmented(*transforms: dict) -> dict:
    return {"augmentation": {"_target_": "scripts.transforms.AugmentBatch", "transforms": list(transforms)}}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_training_with_a_transform_of_monai(name, quick, tmp_path):
    run = train(augmented({"_target_": name} | TRANSFORMS[name]), quick, tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert "auc" in json.loads((tmp_path / "out" / "metrics.json").read_text())["macro"]
    assert name in (tmp_path / "out" / "configs" / "train.yaml").read_text()


@pytest.mark.slow
def test_a_random_transform_of_the_preprocessing_is_refused(quick, tmp_path):
    run = train({"image_filter": {"_target_": "RandGaussianNoised", "keys": "image"}}, quick, tmp_path)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "found the random step RandGaussianNoised; move it into `augmentation`" in run.stderr
