"""A training that is killed with SIGKILL goes on, and ends as if nobody had killed it."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from scripts.evaluation.atomic import PARTIAL

ROOT = Path(__file__).resolve().parents[2]
SAME = ("models/model.pt", "learning_curves.csv", "predictions.csv")
# A process that has imported everything, and forks a training per line of its input. With `writes` above 0
# the training kills itself `wait` s after its so-many-th event that contains `at`: the opening of a file for
# writing, or a file's moving into place; those of the package's copy aside.
SERVER = """
import json, os, signal, sys, threading
from tests.conftest import run_bundle
import torch, matplotlib, pandas, scipy.stats, sklearn.metrics
import torch.utils.tensorboard, scripts.engines, scripts.evaluation, scripts.networks, scripts.transforms
torch.set_num_threads(1)

def train(order):
    written = 0
    def count(event, arguments):
        nonlocal written
        if event not in ("open", "os.rename") or order["folder"] not in str(arguments[0]):
            return
        text = f"{event} {arguments[0]}"
        if order["at"] in text and "/scripts/" not in text and not str(arguments[1]).startswith("r"):
            written += 1
            if order["writes"] and written >= order["writes"]:
                if order["wait"] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                threading.Timer(order["wait"], os.kill, (os.getpid(), signal.SIGKILL)).start()
                order["writes"] = 0
    sys.addaudithook(count)
    run_bundle("training", order["files"], **order["settings"])
    print(written, file=open(order["folder"] + "/writes", "w"))

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1), os.dup2(log, 2)
            train(order)
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def assert_whole(folder: Path) -> None:
    """Every file that is there can be read to its end; temporary ones aside."""
    for file in folder.rglob("*"):
        if file.name.startswith(PARTIAL) or not file.is_file():
            continue
        if file.suffix == ".pt":
            torch.load(file, weights_only=True)
        elif file.suffix in (".json", ".yaml"):
            assert yaml.load(file.read_text(), Loader=yaml.CSafeLoader) is not None
        elif file.suffix == ".csv":
            lengths = {len(row) for row in csv.reader(file.read_text().splitlines())}
            assert len(lengths) == 1
            assert file.read_text().endswith("\n")
        elif file.suffix == ".png":
            assert file.read_bytes().endswith(b"IEND\xaeB`\x82")
        elif file.suffix == ".py":
            assert file.read_bytes() == (ROOT / file.relative_to(folder)).read_bytes()


def assert_same(folder: Path, whole: Path) -> None:
    for name in SAME:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert_whole(folder)
    assert not list(folder.rglob(f"{PARTIAL}*"))


@pytest.fixture
def server(tmp_path) -> Iterator[subprocess.Popen]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.stdin.close()
    process.wait()


@pytest.mark.slow
def test_three_kills_at_random_moments_change_nothing(server, quick, tmp_path):
    """Training, calibration and test; one kill falls into the writing of a checkpoint."""
    handlers = yaml.safe_load((ROOT / "configs" / "train.yaml").read_text())["test"]["handlers"][:2]
    handlers += yaml.safe_load((ROOT / "configs" / "inference.yaml").read_text())["handlers"][-1:]
    run = ["$@train#trainer.run()", "$@calibration.run()", "$@test#evaluator.run()"]
    overlay = {"run": run, "test#handlers": handlers}
    (tmp_path / "light.json").write_text(json.dumps(overlay))

    def train(name: str, writes: int = 0, wait: float = 0.0, at: str = "open", resume: bool = False) -> int:
        folder = str(tmp_path / name)
        settings = quick | {"max_epochs": 3, "output_dir": folder, "resume": resume, "batch_size": 8}
        files = ["configs/train.yaml", str(tmp_path / "light.json")]
        order = {"files": files, "settings": settings, "folder": folder, "writes": writes, "wait": wait}
        server.stdin.write(json.dumps(order | {"at": at, "log": str(tmp_path / "log")}) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        return int(answer) if answer else pytest.fail("the server ended")

    assert train("whole") == 0, (tmp_path / "log").read_text()[-3000:]
    total = int((tmp_path / "whole" / "writes").read_text())
    draw = random.Random(0)
    checkpoint = draw.randint(2, 4)
    print(f"kill 1: when checkpoint {checkpoint} is written and about to be moved into place")
    assert train("killed", checkpoint, at=f"os.rename {tmp_path / 'killed' / 'models'}") == -signal.SIGKILL
    assert list((tmp_path / "killed" / "models").glob(f"{PARTIAL}*"))
    assert_whole(tmp_path / "killed")
    for number in (2, 3):
        writes, wait = draw.randint(total // 4, 3 * total // 4), draw.uniform(0, 0.05)
        print(f"kill {number}: {1000 * wait:.0f} ms after write {writes} of {total}")
        assert train("killed", writes, wait, resume=True) == -signal.SIGKILL, (tmp_path / "log").read_text()
        assert_whole(tmp_path / "killed")
    assert train("killed", resume=True) == 0, (tmp_path / "log").read_text()[-3000:]
    assert_same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_twenty_kills_of_the_command_at_random_moments_change_nothing(quick, tmp_path):
    """The whole command, killed at moments over all its life; where a run ends before, another begins."""

    def command(name: str) -> list[str]:
        line = [
            sys.executable,
            "-m",
            "monai.bundle",
            "run",
            "training",
            "--config_file",
            "configs/train.yaml",
        ]
        for key, value in (quick | {"max_epochs": 4, "output_dir": tmp_path / name, "resume": True}).items():
            line += [f"--{key}", str(value)]
        return line

    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = time.monotonic()
    subprocess.run(command("whole"), check=True, **quiet)
    life = time.monotonic() - start
    draw, kills, runs = random.Random(0), 0, 1
    while kills < 20:
        moment = draw.uniform(0.1, 1.0) * life
        process = subprocess.Popen(command(f"killed{runs}"), **quiet)
        try:
            assert process.wait(moment) == 0
            assert_same(tmp_path / f"killed{runs}", tmp_path / "whole")
            runs += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"kill {kills}: run {runs}, after {moment:.1f} of {life:.1f} s")
            assert_whole(tmp_path / f"killed{runs}")
    subprocess.run(command(f"killed{runs}"), check=True, **quiet)
    assert_same(tmp_path / f"killed{runs}", tmp_path / "whole")


def started(module: str, *arguments: str, until: Path, pattern: str, folder: Path) -> subprocess.Popen:
    """Start a command, and return it once a file of that pattern is there."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "TMPDIR": str(folder / "tmp")}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any(until.rglob(pattern)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process


@pytest.mark.slow
def test_two_trainings_do_not_share_a_folder_and_sigterm_leaves_it_clean(quick, tmp_path):
    folder = tmp_path / "out"
    line = ["run", "training", "--config_file", "configs/train.yaml", "--output_dir", str(folder)]
    line += ["--max_epochs", "200", "--dataset_dir", quick["dataset_dir"], "--grid_size", "[16,16,16]"]
    where = {"until": folder, "folder": tmp_path}
    first = started("monai.bundle", *line, pattern="last.pt", **where)
    second = started("monai.bundle", *line, "--resume", "true", pattern="last.pt", **where)
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 1
    assert f"found training (process {first.pid} on " in said
    assert "Traceback" not in said
    first.send_signal(signal.SIGTERM)
    said = first.communicate(timeout=30)[0]
    assert first.returncode == 128 + signal.SIGTERM
    assert "--resume true goes on" in said
    assert "Traceback" not in said
    assert not [file for file in folder.rglob(".*") if file.is_file()]


@pytest.mark.slow
def test_predict_leaves_no_volumes_in_the_temporary_folder(trained, small_phantom, tmp_path):
    case = sorted(path for path in small_phantom.iterdir() if path.is_dir())[0]
    line = ["--run", str(trained), "--input", str(case), "--output", str(tmp_path / "out")]
    left = tmp_path / "tmp"
    for number in (signal.SIGTERM, signal.SIGKILL):
        where = {"until": left, "pattern": "predict-*/*.json", "folder": tmp_path}
        process = started("scripts.predict", *line, **where)
        process.send_signal(number)
        process.communicate(timeout=30)
        assert bool(list(left.glob("predict-*"))) == (number == signal.SIGKILL)
    started(
        "scripts.predict", *line, until=tmp_path, pattern="prediction.json", folder=tmp_path
    ).communicate()
    assert not list(left.glob("predict-*"))
