# SPDX-License-Identifier: Apache-2.0
"""A folder that one run at a time writes into, and results that are replaced as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.engines.ensemble import model_files
from scripts.files.run_folder import (
    EARLIER,
    MOVING,
    RECORD,
    bring_back,
    forget_earlier,
    release_folder,
    run_in,
    set_aside,
    take_folder,
)
from workbench.package.__main__ import main as packaging
from workbench.predict.command import main as predict
from workbench.prepare.preparing import prepare
from workbench.prepare.quality.quality import check_quality
from workbench.prepare.settings import Settings

from tests.conftest import ROOT

CODE = """
import sys
from scripts.files.run_folder import take_folder
take_folder(sys.argv[1], "training")
print("taken", flush=True)
sys.stdin.read()
"""


def other_run(folder) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


def test_a_folder_in_use_is_refused_by_name_and_that_of_a_killed_run_taken_over(tmp_path, capsys):
    folder = tmp_path / "run"
    process = other_run(folder)
    with pytest.raises(ValueError, match=rf"found training \(process {process.pid} on \S+\) at work there"):
        take_folder(folder, "training")
    (folder / ".part-half").touch()
    process.send_signal(signal.SIGKILL)
    process.wait()
    take_folder(folder, "training")
    assert f"training (process {process.pid} on" in capsys.readouterr().out
    assert os.listdir(folder) == [RECORD]
    release_folder(folder)
    assert os.listdir(folder) == []


def test_a_model_whose_training_has_not_ended_is_used_with_a_warning(tmp_path, caplog):
    process = other_run(tmp_path)
    model_files(tmp_path)
    assert f"{tmp_path}: training (process {process.pid} on" in caplog.text
    process.communicate()
    caplog.clear()
    (tmp_path / RECORD).unlink()
    take_folder(tmp_path, "training")  # which then tests its own model
    model_files(tmp_path)
    release_folder(tmp_path)
    model_files(tmp_path)
    assert caplog.text == ""


def test_what_came_while_a_run_looked_is_seen_once_the_folder_is_taken(tmp_path):
    """Another run may end between a look and the taking."""
    (tmp_path / RECORD).write_text('{"command": "inferring", "files": ["predictions.csv"]}')
    (tmp_path / "predictions.csv").touch()

    def check(record):
        raise ValueError(f"results of {record['command']}")

    with pytest.raises(ValueError, match="results of inferring"):
        take_folder(tmp_path, "evaluating", check)
    assert json.loads((tmp_path / RECORD).read_text())["files"] == ["predictions.csv"]
    with pytest.raises(KeyError):
        take_folder(tmp_path / "new" / "one", "evaluating", check)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_a_run_on_another_host_may_use_is_refused(tmp_path):
    record = {"command": "training", "process": 7, "host": "elsewhere"}
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=rf"process 7 on elsewhere.*if it no longer runs, remove \S+{RECORD}"):
        take_folder(tmp_path, "training")
    assert json.loads((tmp_path / RECORD).read_text()) == record


def test_a_folder_made_for_nothing_goes_again(tmp_path):
    with pytest.raises(KeyError), run_in(tmp_path / "a" / "b", "preparing"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("killed", [None, "moving", "back", "working"])
def test_results_are_replaced_whole_or_come_back_whole(killed, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "table.csv").write_text("old")
    assert set_aside(tmp_path)
    assert os.listdir(tmp_path) == [EARLIER]
    if killed is None:
        (tmp_path / "table.csv").write_text("new")
        forget_earlier(tmp_path)
        assert os.listdir(tmp_path) == ["table.csv"]
        return
    if killed == "working":
        (tmp_path / "table.csv").write_text("half")
        (tmp_path / "other.csv").write_text("half")
    else:  # half of the files are under way
        (tmp_path / EARLIER).rename(tmp_path / MOVING)
        (tmp_path / MOVING / "figures").rename(tmp_path / "figures")
    bring_back(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["figures", "table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def _check(output: str) -> None:
    data = next(part for part in Path(output).parents if part.name == "own") / "data"
    data.mkdir(exist_ok=True)
    case = {"case": "a", "image": {"pre": "a.nii.gz"}, "label": "low"}
    (data / "dataset.json").write_text(json.dumps({"phases": ["pre"], "classes": ["low", "high"], "training": [case]}))
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), data / "a.nii.gz")
    check_quality(data, output)


WRITERS = {
    "checking": _check,
    "preparing": lambda output: prepare(Settings(source=".", layout="folders", output=output)),
    "packaging": lambda output: packaging(["--output", output]),
    "predict": lambda output: predict(["--run", ".", "--input", ".", "--output", output]),
}


@pytest.mark.parametrize("place", [".", "configs", "models/new"])
@pytest.mark.parametrize("command", WRITERS)
def test_no_command_writes_into_a_bundle(command, place, tmp_path):
    root = tmp_path / "own" / "bundle"
    (root / "configs").mkdir(parents=True)
    (root / "configs" / "metadata.json").write_text("{}")
    before = sorted(root.rglob("*"))
    with pytest.raises((ValueError, SystemExit), match=r"must not be part of a bundle, .* of .*/bundle"):
        WRITERS[command](f"{root}/{place}" if place != "." else str(root))
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("command", ["preparing", "packaging", "predict"])
def test_nothing_is_no_folder(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, SystemExit)) as caught:
        WRITERS[command]("")
    said = f"{caught.value} {capsys.readouterr().err}"
    assert "it must be a path, found ''" in said or "output must be given, found nothing" in said
    assert list(tmp_path.iterdir()) == []
