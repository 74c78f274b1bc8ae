"""Where a training leaves its results, what it goes on with, and what Ctrl-C says."""

from __future__ import annotations

import multiprocessing
import os
import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from scripts.engines import finish, results_folder
from scripts.engines.checkpoint import Checkpoints
from scripts.engines.errors import show_one_line
from scripts.engines.results_place import _remove_unused


def make(folder: Path, finished: bool | None = True, at: float = 1e9) -> Path:
    """Make the folder of a training: finished, interrupted (False), or killed in its first epoch (None)."""
    (folder / "models").mkdir(parents=True)
    if finished is not None:
        (folder / "models" / "last.pt").touch()
        os.utime(folder / "models" / "last.pt", (at, at))
    if finished:
        (folder / "report.html").touch()
        os.utime(folder / "report.html", (at + 60, at + 60))
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
    assert re.search(
        r"results/mine is there already: this training goes to \S+/mine_2\n", capsys.readouterr().out
    )
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
    _remove_unused([folder, folder.parent])
    assert list(tmp_path.iterdir()) == []
    kept = Path(results_folder(tmp_path, "kept"))
    (kept / "file").touch()
    _remove_unused([kept, kept.parent])
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
