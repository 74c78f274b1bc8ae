"""Several processes, started by torchrun as for several GPUs, train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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
        "batch_size": 7,  # of 24 cases: shares of 4 and 3, and in the last step of 2 and 1
        "share_encoder": False,
        "encoder#norm": "instance",
        "precision": "fp32",
        "dropout": 0.0,
        "phase_dropout": 0.0,
        "train#prepare_batch#augmentation": None,
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
def test_two_processes_train_the_weights_of_one(bundle, settings, tmp_path):
    bundle("training", FILES, output_dir=str(tmp_path / "one"), **settings)
    run = torchrun(2, FILES, output_dir=tmp_path / "two", **settings)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("results:") == run.stdout.count("Expected calibration error") == 1

    files = [
        {str(f.relative_to(tmp_path / name)) for f in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    ]
    assert {f for f in files[0] ^ files[1] if "tfevents" not in f and "__pycache__" not in f} == set()
    assert len(list((tmp_path / "two" / "tensorboard").glob("*tfevents*"))) == len(
        list((tmp_path / "one" / "tensorboard").glob("*tfevents*"))
    )
    states = [torch.load(tmp_path / name / "models" / "last.pt")["network"] for name in ("one", "two")]
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-5, rtol=1e-4, msg=name)
    for name in ("learning_curves.csv", "predictions.csv", "features.csv", "missing_phases.csv"):
        one, two = (pandas.read_csv(tmp_path / folder / name) for folder in ("one", "two"))
        assert one["epoch" if "epoch" in one else one.columns[0]].tolist() == two[two.columns[0]].tolist()
        numbers = [c for c in one.select_dtypes("number") if not c.startswith("tsne")]
        np.testing.assert_allclose(two[numbers], one[numbers], atol=1e-4, rtol=1e-3, err_msg=name)
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    assert metrics[0]["n"] == metrics[1]["n"] == 8
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2
