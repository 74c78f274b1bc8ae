# SPDX-License-Identifier: Apache-2.0
"""Several processes, started by torchrun as for several GPUs, train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
FILES = ["configs/train.yaml", "configs/training/sgd.yaml", "configs/multi_gpu_train.yaml"]


@pytest.fixture(scope="module")
def seldom_pre(small_phantom) -> Path:
    """A dataset of which few training cases have the phase `pre`: most steps of most processes lack it."""
    content = json.loads((small_phantom / "dataset.json").read_text())
    for number, item in enumerate(content["training"]):
        if number % 8 and len(item["image"]) > 1:
            item["image"].pop("pre", None)
    (small_phantom / "seldom_pre.json").write_text(json.dumps(content))
    return small_phantom / "seldom_pre.json"


@pytest.fixture(scope="module")
def settings(quick, seldom_pre) -> dict:
    """One encoder per phase, and nothing that depends on how a batch is divided."""
    return quick | {
        "dataset_dir": str(seldom_pre),
        "share_encoder": False,
        "encoder#norm": "instance",
        "precision": "fp32",
        "learning_rate": 0.005,  # at higher ones the last digits grow within some steps
        "dropout": 0.0,
        "phase_dropout": 0.0,
        "augmentation#transforms": [],
        "device": "cpu",
    }


def torchrun(processes: int, files: list[str], **overrides) -> subprocess.CompletedProcess:
    """Train in several processes on this machine's CPU."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    line += ["-m", "monai.bundle", "run", "training", "--config_file", str(files)]
    for key, value in overrides.items():
        line += [f"--{key}", str(value)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=500, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "batch_size"),
    [(2, 7), (3, 11)],  # of 24 cases: shares of 4 and 3, then 2 and 1; of 4, 4 and 3, then 1, 1 and none
)
def test_several_processes_train_the_weights_of_one(processes, batch_size, bundle, settings, tmp_path):
    chosen = settings | {"batch_size": batch_size}
    bundle("training", FILES, output_dir=str(tmp_path / "one"), **chosen)
    run = torchrun(processes, FILES, output_dir=tmp_path / "several", **chosen)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("results:") == run.stdout.count("expected calibration error") == 1
    assert_equal_results(tmp_path / "one", tmp_path / "several")
    record = json.loads((tmp_path / "several" / "environment.json").read_text())
    assert record["processes"] == processes


@pytest.mark.slow
def test_the_default_training_goes_on_with_another_number_of_processes(quick, tmp_path):
    """Batch normalisation, augmentation and hidden phases; after one epoch, with one process less."""
    files = ["configs/train.yaml", "configs/multi_gpu_train.yaml"]
    chosen = quick | {"output_dir": tmp_path / "out", "share_encoder": False, "max_epochs": 1}
    first = torchrun(3, files, **chosen)
    assert first.returncode == 0, first.stderr
    before = pandas.read_csv(tmp_path / "out" / "learning_curves.csv")
    second = torchrun(2, files, **(chosen | {"max_epochs": 2, "resume": True}))
    assert second.returncode == 0, second.stderr
    curves = pandas.read_csv(tmp_path / "out" / "learning_curves.csv")
    assert curves["epoch"].tolist() == [1, 2]
    pandas.testing.assert_frame_equal(curves[:1], before)
    assert len(pandas.read_csv(tmp_path / "out" / "predictions.csv")) == 8


@pytest.mark.slow
def test_a_mistake_is_told_by_one_process_alone(quick, tmp_path):
    files = ["configs/train.yaml", "configs/multi_gpu_train.yaml"]
    chosen = quick | {"output_dir": tmp_path / "out", "dataset_dir": tmp_path / "nowhere"}
    run = torchrun(2, files, **chosen)
    assert run.returncode != 0
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "nowhere" in errors[0]
    assert not (tmp_path / "out").exists()


def written(folder: Path) -> list[str]:
    """Return the names of all results, without the numbers in those of TensorBoard's events."""
    files = (str(file.relative_to(folder)) for file in folder.rglob("*.*") if "scripts" not in file.parts)
    return sorted("events" if "tfevents" in name else name for name in files)


def assert_equal_results(one: Path, two: Path) -> None:
    """Compare files, weights, losses, scores and predictions of two trainings."""
    assert written(one) == written(two)
    before, after = (torch.load(folder / "models" / "last.pt")["network"] for folder in (one, two))
    assert list(before) == list(after)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=5e-6, rtol=1e-4)
    for name in ("learning_curves.csv", "predictions.csv", "features.csv", "missing_phases.csv"):
        before, after = (pandas.read_csv(folder / name) for folder in (one, two))
        pandas.testing.assert_frame_equal(
            after.drop(columns=after.filter(like="tsne")), before.drop(columns=before.filter(like="tsne")),
            atol=1e-5, rtol=1e-4,
        )  # fmt: skip
    assert json.loads((one / "metrics.json").read_text())["n"] == 8


@pytest.mark.slow
def test_the_unit_test_for_the_zoo_passes():
    line = [sys.executable, "-m", "unittest", "test_multiphase_fusion_classification_dist"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PATH": path}
    subprocess.run(line, cwd=ROOT / "ci" / "unit_tests", env=environment, check=True, timeout=500)
