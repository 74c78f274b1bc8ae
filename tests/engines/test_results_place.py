# SPDX-License-Identifier: Apache-2.0
"""Where a training leaves its results, what it goes on with, and what Ctrl-C says."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from scripts.engines import output_place
from scripts.engines.checkpoint import Checkpoints
from scripts.engines.output_place import results_folder
from scripts.engines.run import finish
from scripts.files.atomic import remove_empty
from scripts.files.errors import message_of, show_one_line
from scripts.files.run_folder import EARLIER, RECORD

from tests.conftest import ROOT


def make(folder: Path, finished: bool | None = True, at: float = 1e9) -> Path:
    """Make the folder of a training: finished, interrupted (False), or killed in its first epoch (None)."""
    (folder / "models").mkdir(parents=True)
    if finished is not None:
        (folder / "models" / "last.pt").touch()
        os.utime(folder / "models" / "last.pt", (at, at))
    if finished:
        (folder / "configs").mkdir()
        (folder / "configs" / "metadata.json").touch()
        os.utime(folder / "configs" / "metadata.json", (at + 60, at + 60))
    return folder


def _place(root: str, barrier, places) -> None:
    barrier.wait()
    places.put(results_folder(root, "sweep"))
    places.close()
    places.join_thread()
    os._exit(0)  # as a killed process: the folder stays


def test_trainings_that_start_together_have_a_folder_each(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier, places = fork.Barrier(6), fork.Queue()
    processes = [fork.Process(target=_place, args=(str(tmp_path), barrier, places)) for _ in range(6)]
    for process in processes:
        process.start()
    found = sorted(places.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    names = ["sweep", *(f"sweep_{number}" for number in range(2, 7))]
    assert found == [str(tmp_path / "results" / name) for name in names]


def test_the_next_free_name_is_said_at_the_start_and_at_the_end(tmp_path, capsys):
    make(tmp_path / "results" / "mine")
    folder = Path(results_folder(tmp_path, "mine"))
    assert folder.name == "mine_2"
    assert folder.is_dir()
    assert re.search(r"results/mine is there already: this training goes to \S+/mine_2\n", capsys.readouterr().out)
    assert results_folder(tmp_path, "mine") == str(folder)  # when MONAI asks again within the same run
    (folder / "models").mkdir()
    (folder / "models" / "model.pt").touch()
    (folder / "configs").mkdir()
    (folder / "configs" / "inference.yaml").write_text("clinical: []\n")
    (folder / "configs" / "metadata.json").write_text("{}")
    capsys.readouterr()
    finish(folder)
    said = capsys.readouterr().out
    assert "results/mine is there already: this training goes to" in said
    command = said.splitlines()[-1]
    assert f"--bundle_root {folder}" in command
    assert f"--config_file {folder}/configs/inference.yaml" in command


def test_a_folder_that_nothing_was_written_into_goes_again(tmp_path):
    folder = Path(results_folder(tmp_path, "failed"))
    remove_empty([folder, folder.parent])
    assert list(tmp_path.iterdir()) == []
    kept = Path(results_folder(tmp_path, "kept"))
    (kept / "file").touch()
    remove_empty([kept, kept.parent])
    assert (kept / "file").exists()


@pytest.mark.parametrize(
    ("trainings", "taken"),
    [
        ({"a": False}, "a"),
        ({"a": False, "a_2": True}, "a"),
        ({"a": True, "a_2": False, "a_3": True}, "a_2"),
        ({"a": False, "a_2": False, "a_3": True}, "a_2"),
        ({"a": True, "a_2": True}, "a_2"),
        ({"a": True, "a_2": None}, "a_2"),
        ({"a_2": False}, "a_2"),
        ({"a": True, "a_9": True, "a_10": False, "a_b": False}, "a_10"),
        ({}, "a"),
    ],
)
def test_resume_takes_the_newest_that_was_interrupted(trainings, taken, tmp_path):
    for name, finished in trainings.items():
        make(tmp_path / "results" / name, finished)
    assert Path(results_folder(tmp_path, "a", resume=True)).name == taken


def test_a_finished_training_that_was_taken_up_again_and_interrupted_is_interrupted(tmp_path):
    folder = make(tmp_path / "results" / "a")
    make(tmp_path / "results" / "a_2")
    os.utime(folder / "models" / "last.pt", (2e9, 2e9))
    assert Path(results_folder(tmp_path, "a", resume=True)) == folder


@pytest.mark.parametrize(
    ("epoch", "line"),
    [
        (0, "stopped before the first epoch was finished; --resume true begins it again"),
        (2, "stopped after epoch 2; --resume true goes on"),
    ],
)
def test_an_interrupt_is_one_line_that_says_how_to_go_on(epoch, line, tmp_path, capsys):
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters())

    def step(engine, batch):
        if engine.state.epoch > epoch:
            raise KeyboardInterrupt

    trainer = Engine(step)
    Checkpoints(layer, optimizer, optimizer, Engine(step), optimizer, [], tmp_path, {}).attach(trainer)
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.run([0], max_epochs=5)
    show_one_line(KeyboardInterrupt, caught.value, None)
    assert capsys.readouterr().err == f"\n{line}\n"


def refused(bundle, run_id: str, files: list[str], **overrides) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps what it meets
        bundle(run_id, files, **overrides)
    return message_of(caught.value) or ""


@pytest.mark.usefixtures("without_pixels")
def test_results_are_never_mixed_but_replaced(trained, small_phantom, bundle, tmp_path, capsys):
    files = {
        "inferring": [str(trained / "configs" / "inference.yaml")],
        "evaluating": [str(trained / "configs" / name) for name in ("train.yaml", "evaluate.yaml")],
        "explaining": [str(trained / "configs" / "inference.yaml"), "configs/explain.yaml"],
    }
    common = {"bundle_root": str(trained), "dataset_dir": str(small_phantom), "output_dir": str(tmp_path / "out")}
    bundle("inferring", files["inferring"], **common)
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["command"] == "inferring"
    assert "process" not in record
    before = (tmp_path / "out" / "predictions.csv").read_bytes()
    for command in ("evaluating", "explaining"):
        assert "results of " + command in refused(bundle, command, files[command], **common)
    assert "there is no training in it" in refused(
        bundle, "training", ["configs/train.yaml"], **common | {"bundle_root": str(ROOT)}
    )
    (tmp_path / "out" / "notes.txt").touch()
    assert "found notes.txt in it" in refused(bundle, "inferring", files["inferring"], **common)
    (tmp_path / "out" / "notes.txt").unlink()
    capsys.readouterr()
    bundle("inferring", files["inferring"], **common)
    assert "holds earlier results of inferring; the new ones replace them" in capsys.readouterr().out
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == before
    assert not (tmp_path / "out" / EARLIER).exists()


@pytest.mark.parametrize("place", [".", "configs", "models/new", "scripts"])
def test_a_bundle_is_no_results_folder(place, trained, small_phantom, bundle):
    before = sorted(trained.rglob("*"))
    common = {"dataset_dir": str(small_phantom), "output_dir": str(trained / place)}
    own = [str(trained / "configs" / "inference.yaml")]
    line = "must not be part of a bundle"
    assert line in refused(bundle, "inferring", own, bundle_root=str(trained), **common)
    own = [str(trained / "configs" / "train.yaml")]
    assert line in refused(bundle, "training", own, bundle_root=str(trained), resume=True, **common)
    assert sorted(trained.rglob("*")) == before


def test_a_training_does_not_write_over_another(trained, bundle, quick):
    before = sorted(trained.rglob("*"))
    said = refused(bundle, "training", ["configs/train.yaml"], output_dir=str(trained), **quick)
    assert str(trained) in said
    assert "give another --output_dir, or --resume true to go on" in said
    assert sorted(trained.rglob("*")) == before


def test_a_command_that_fails_leaves_earlier_results(tmp_path):
    (tmp_path / "predictions.csv").write_text("old")
    (tmp_path / RECORD).write_text(json.dumps({"command": "inferring", "files": ["predictions.csv"]}))
    output_place._take_for_results(tmp_path, ROOT, "inferring", "model.pt")
    output_place._runs[tmp_path] = 1
    (tmp_path / "predictions.csv").write_text("half")
    output_place.give_up(tmp_path, 1)
    assert (tmp_path / "predictions.csv").read_text() == "old"
    assert json.loads((tmp_path / RECORD).read_text())["files"] == ["predictions.csv"]
