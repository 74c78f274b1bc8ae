# SPDX-License-Identifier: Apache-2.0
"""Awkward commands: a name that looks like a number, two trainings with one name in the same second."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import fire
import pytest
import yaml
from monai.bundle.scripts import run

from tests.conftest import ROOT


@pytest.fixture
def prepared(awkward, tmp_path, monkeypatch):
    """Return a function that prepares input n and gives the folder of its dataset.json."""
    monkeypatch.chdir(ROOT)

    def prepare(number: str) -> Path:
        source = awkward(number)
        command = [
            "preparing", "--config_file", "configs/prepare.yaml", "--layout", "folders",
            "--source", str(source / "data"), "--labels", str(source / "labels.csv"),
            "--output", str(tmp_path / "data"), "--quality", "false", "--workers", "1",
        ]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            fire.Fire(run, command=command)
        return tmp_path / "data"

    return prepare


SMALL = ["--grid_size", "[16,16,8]", "--spacing", "2,2,2", "--max_epochs", "1", "--missing_phases", "no"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["20240101"])
def test_a_training_may_be_called_like_a_number(name, prepared, tmp_path, monkeypatch):
    data = prepared("14")
    monkeypatch.chdir(tmp_path)
    files = [str(ROOT / "configs" / "train.yaml"), str(data / "data.yaml")]
    with contextlib.redirect_stdout(io.StringIO()):
        fire.Fire(run, command=["training", "--config_file", str(files), *SMALL, "--name", name])
    folder = tmp_path / "results" / name
    assert yaml.safe_load((folder / "configs" / "train.yaml").read_text())["name"] == name
    assert json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_two_trainings_with_one_name_in_the_same_second_have_a_folder_each(prepared, tmp_path):
    data = prepared("13")
    line = [sys.executable, "-m", "monai.bundle", "run", "training", "--name", "sweep", *SMALL, "--bundle_root", "."]
    files = ["--config_file", str([str(ROOT / "configs" / "train.yaml"), str(data / "data.yaml")])]
    both = [
        subprocess.Popen([*line, *files, "--seed", str(seed)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    for seed, text in zip((1, 2), said, strict=True):
        folder = Path(text.rpartition("results: ")[2].split("\n")[0])
        assert yaml.safe_load((folder / "configs" / "train.yaml").read_text())["seed"] == seed
        assert json.loads((folder / "environment.json").read_text())["seed"] == seed
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"sweep", "sweep_2"}
