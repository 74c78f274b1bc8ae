"""Awkward commands: a name that looks like a number, two trainings with one name in the same second."""

from __future__ import annotations

import contextlib
import io
import json
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
