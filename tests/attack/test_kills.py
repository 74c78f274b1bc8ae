# SPDX-License-Identifier: Apache-2.0
"""Commands that a signal stops at any moment: nothing of them is left, and given again they end as if
nobody had stopped them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import nibabel
import numpy as np
import pytest
import torch
import yaml
from scripts.files.atomic import PARTIAL

from tests.label_server import PYTHON, TOKEN, Server
from tests.predict.test_predict import PHASES, RULES, write_series

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MARK = "KILLS_MARK"
# The command gets a signal when the so-many-th file with a text in its path is about to be moved into place.
SITE = """
import os, sys
at, count, number, done = os.environ["KILLS"].split("|")
seen = 0
def stop(event, arguments):
    global seen
    if event == "os.rename" and at in str(arguments[1]):
        seen += 1
        if seen == int(count) and not os.path.exists(done):
            open(done, "w").close()
            (os.killpg if number in "1 2" else os.kill)(os.getsid(0), int(number))
if at:
    sys.addaudithook(stop)
"""
DIFFERS = (
    "environment.json",
    "report.html",
    "comparison.md",
    "comparison_report.html",
    "quality.html",
    "costs.csv",
    ".run",
)
"""Files that hold times; and the note of a folder's run."""
TIMES = ("costs", "made", "date", "seconds", "git")
"""Entries of JSON files, and columns, that say when and from which commit."""


@dataclass
class Command:
    """A command that is stopped, and given again.

    Args:
        place: folder of all that it writes: its results in `out`.
        line: the command.
        ask: for a server, which does not end: gives its answers.
        processes: those that were started.
    """

    place: Path
    line: list[str]
    ask: Callable[[subprocess.Popen], dict[str, bytes]] | None = None
    processes: list[int] = field(default_factory=list)

    def start(self, at: str = "", number: int = 0) -> subprocess.Popen:
        """Start it as the foreground of a session of its own."""
        (self.place / "tmp").mkdir(exist_ok=True, parents=True)
        (self.place / "site").mkdir(exist_ok=True)
        (self.place / "site" / "sitecustomize.py").write_text(SITE)
        self.mark = uuid.uuid4().hex
        path, _, count = at.partition(" ")
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
            "MPLBACKEND": "Agg", "PYTHONPATH": str(self.place / "site"), MARK: self.mark,
            "TMPDIR": str(self.place / "tmp"), "PHASE_FUSION_TOKEN": TOKEN,
            "KILLS": f"{path}|{count or 1}|{number:d}|{self.place / 'done'}",
            "TORCHINDUCTOR_CACHE_DIR": str(self.place / "torch"),  # torch's own, in TMPDIR else
        }  # fmt: skip
        with (self.place / "log").open("w") as log:
            process = subprocess.Popen(
                self.line, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=as_in_a_terminal,
            )  # fmt: skip
        self.processes.append(process.pid)
        return process

    @property
    def said(self) -> str:
        return (self.place / "log").read_text(errors="replace")

    def finish(self, process: subprocess.Popen) -> dict[str, bytes]:
        """Let it come to its end, and return what came out."""
        if self.ask is not None:
            return self.ask(process)
        assert process.wait(timeout=300) == 0, self.said[-3000:]
        out = self.place / "out"
        files = (file for file in out.rglob("*") if file.is_file() and file.name not in DIFFERS)
        return {
            str(file.relative_to(out)): content(file)
            for file in files
            if "events." not in file.name and file.suffix != ".log"
        }

    @cached_property
    def whole(self) -> tuple[dict[str, bytes], float]:
        """What comes out where nobody stops it, and its time, s."""
        start = time.monotonic()
        found = self.finish(self.start())
        return found, time.monotonic() - start

    def stop(self, number: signal.Signals, at: float | str) -> bool:
        """Stop a new one by a signal, and return whether it stood ready for it.

        Args:
            number: SIGINT and SIGHUP reach the whole foreground, as from a terminal, the others the command.
            at: share of its time, or a part of the path of a file that is just being moved into place (behind
                it, of how many).
        """
        while True:
            for name in ("out", "tmp", "cache", "done"):
                path = self.place / name
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            if isinstance(at, str):
                process = self.start(at=at, number=number)
                assert process.wait(timeout=300) != 0, self.said[-3000:]
                return True
            process = self.start()
            try:
                process.wait(at * self.whole[1])
            except subprocess.TimeoutExpired:
                ready = is_ready(process.pid)
                (os.killpg if number in (SIGINT, SIGHUP) else os.kill)(process.pid, number)
                process.wait(timeout=patience())
                late = process.returncode == 0 or "all was written before" in self.said
                if self.ask is not None or not late:
                    return ready
            at *= 0.9  # it was faster than the one that was timed

    def alive(self) -> list[str]:
        """Return the command lines of what still runs of the last one, after 10 s (see `patience`)."""
        deadline = time.monotonic() + patience()
        while (found := marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def left(self) -> list[str]:
        """Return what lies about that is no result."""
        found = [*(self.place / "tmp").iterdir(), *self.place.rglob(f"{PARTIAL}*")]
        if self.ask is not None:  # MONAI Label's own, of each answer
            found = [path for path in found if path.suffix != ".json"]
        for process in self.processes:  # joblib's folders and semaphores
            found += [path for mark in "-_" for path in Path("/dev/shm").glob(f"*{mark}{process}{mark}*")]
        return list(map(str, found))


def content(file: Path) -> bytes:
    """Return what a file says, without `TIMES`."""
    if file.suffix == ".dcm":
        return b"there"  # with the time, and numbers drawn anew
    if file.suffix != ".json" and file.name != "registration.csv":
        return file.read_bytes()

    def timeless(value):
        if isinstance(value, dict):
            return {key: timeless(one) for key, one in value.items() if key not in TIMES}
        return [timeless(one) for one in value] if isinstance(value, list) else value

    text = file.read_text()
    rows = json.loads(text) if file.suffix == ".json" else list(csv.DictReader(text.splitlines()))
    return json.dumps(timeless(rows)).encode()


def patience() -> float:
    """Return 10 s, and more where others use the processor, too: an end takes 2 s of it."""
    return 10 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


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
            assert len({len(row) for row in csv.reader(file.read_text().splitlines())}) == 1
            assert file.read_text().endswith("\n")
        elif file.suffix == ".png":
            assert file.read_bytes().endswith(b"IEND\xaeB`\x82")


def as_in_a_terminal() -> None:
    """Take up the signals that a shell lets its background jobs ignore, and nohup its command."""
    for number in (SIGINT, SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def is_ready(process: int) -> bool:
    """Return whether a process has said what it does on SIGTERM."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (SIGTERM - 1) & 1)


def marked(mark: str) -> list[str]:
    """Return the command lines of the processes whose environment has the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended, or another user's
            continue
    return found


def bundle_command(run_id: str, files: str, **settings: object) -> list[str]:
    line = [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", files]
    return line + [str(part) for key, value in settings.items() for part in (f"--{key}", value)]


@pytest.fixture
def training(quick, tmp_path) -> Command:
    settings = quick | {"max_epochs": 3, "output_dir": tmp_path / "out", "resume": True}
    return Command(tmp_path, bundle_command("training", "configs/train.yaml", **settings))


@pytest.fixture
def preparing(small_phantom, tmp_path) -> Command:
    """With the bias field removed and phases registered, which writes volumes."""
    document = json.loads((small_phantom / "dataset.json").read_text())
    chosen = [entry for entry in document["training"] if {"pre", "portal"} <= set(entry["image"])]
    chosen = [[e for e in chosen if e["label"] == name][:3] for name in document["classes"]]
    rows = ["case,label"]
    for entry in (entry for entries in chosen for entry in entries):
        folder = tmp_path / "source" / entry["case"]
        folder.mkdir(parents=True)
        for phase in ("pre", "portal"):
            image = nibabel.load(small_phantom / entry["image"][phase])
            voxels = np.clip(np.asarray(image.dataobj) + 1100, 1, None).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(voxels, image.affine), folder / f"{phase}.nii.gz")
        shutil.copy(small_phantom / entry["roi"], folder / "lesion.nii.gz")
        rows.append(f"{entry['case']},{entry['label']}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    line = bundle_command(
        "preparing", "configs/prepare.yaml", source=tmp_path / "source", layout="folders",
        labels=tmp_path / "labels.csv", output=tmp_path / "out", bias_correction="n4",
        bias_phases=["portal"], registration="rigid", workers=2, quality=False,
    )  # fmt: skip
    return Command(tmp_path, line)


@pytest.fixture
def comparing(quick, tmp_path) -> Command:
    settings = quick | {
        "max_epochs": 1, "phases": ["arterial", "portal"], "strategies": ["single_portal"], "folds": 2,
        "repeats": 1, "draws": 50, "jobs": 2, "cache_dir": tmp_path / "cache", "output_dir": tmp_path / "out",
    }  # fmt: skip
    return Command(tmp_path, bundle_command("comparing", "configs/compare.yaml", **settings))


@pytest.fixture
def explaining(trained, small_phantom, tmp_path) -> Command:
    files = str([str(trained / "configs" / "inference.yaml"), "configs/explain.yaml"])
    line = bundle_command(
        "explaining", files, bundle_root=trained, dataset_dir=small_phantom, case="test",
        explanations=["contribution", "grad_cam"], output_dir=tmp_path / "out",
    )  # fmt: skip
    return Command(tmp_path, line)


@pytest.fixture
def predict(trained, small_phantom, tmp_path) -> Command:
    """From DICOM, so that the volumes of a patient lie in a temporary folder meanwhile."""
    case = next(folder for folder in sorted(small_phantom.iterdir()) if (folder / "pre.nii.gz").is_file())
    for number, phase in enumerate(PHASES, 1):
        write_series(case / f"{phase}.nii.gz", tmp_path / "in" / phase, phase, "1.2.3.4", number, "P1")
    (tmp_path / "rules.yaml").write_text(RULES)
    line = [sys.executable, "-m", "workbench.predict", "--run", trained, "--input", tmp_path / "in"]
    line += ["--rules", tmp_path / "rules.yaml", "--roi", case / "lesion.nii.gz"]
    line += ["--output", tmp_path / "out"]
    return Command(tmp_path, list(map(str, line)))


@pytest.fixture
def serving(trained, small_phantom, tmp_path) -> Command:
    if not PYTHON.exists():
        pytest.skip(f"no MONAI Label in {PYTHON.parent.parent} (make test-label)")
    (tmp_path / "studies").mkdir()
    case = next(folder for folder in sorted(small_phantom.iterdir()) if (folder / "pre.nii.gz").is_file())
    for file in case.glob("*.nii.gz"):
        shutil.copy(file, tmp_path / "studies" / f"{case.name}_{file.name}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [PYTHON, "-m", "workbench.serve", "--run", trained, "--studies", tmp_path / "studies"]
    command = Command(tmp_path, list(map(str, [*line, "--app", tmp_path / "out", "--port", port])))

    def ask(process: subprocess.Popen) -> dict[str, bytes]:
        speaker, deadline = Server(port), time.monotonic() + 150
        try:
            while True:
                try:
                    return {"scores": json.dumps(speaker.scores(case.name)).encode()}
                except (urllib.error.URLError, ConnectionError):
                    assert process.poll() is None, command.said[-3000:]
                    assert time.monotonic() < deadline, command.said[-3000:]
                    time.sleep(0.5)
        finally:
            process.terminate()
            process.wait(timeout=120)

    command.ask = ask
    return command


KILLS: dict[str, list[tuple[signal.Signals, float | str]]] = {
    "training": [
        (SIGKILL, 0.5), (SIGKILL, 0.7), (SIGKILL, "models/last.pt 2"), (SIGKILL, "missing_phases.png"),
        (SIGTERM, 0.6), (SIGTERM, "models/model.pt"), (SIGINT, "first_batch.png"),
        (SIGINT, "models/last.pt 2"), (SIGINT, "predictions.csv"), (SIGHUP, 0.8),
    ],
    "preparing": [
        (SIGKILL, 0.6), (SIGKILL, "/n4/"), (SIGKILL, "dataset.json"), (SIGTERM, 0.5),
        (SIGTERM, "/registered/"), (SIGINT, "/n4/"), (SIGINT, "data.yaml"), (SIGHUP, 0.9),
    ],
    "comparing": [
        (SIGKILL, 0.5), (SIGKILL, "rows/single_portal_r1_f2"), (SIGTERM, "models/model.pt"), (SIGINT, 0.6),
        (SIGINT, "comparison.csv"), (SIGHUP, "rows/"),
    ],
    "explaining": [
        (SIGKILL, 0.6), (SIGKILL, "contributions.csv"), (SIGTERM, 0.75), (SIGTERM, "contributions.png"),
        (SIGINT, 0.85), (SIGHUP, 0.5),
    ],
    "serving": [(SIGKILL, 0.3), (SIGTERM, 0.6), (SIGINT, 1.1), (SIGHUP, 0.9)],
    "predict": [
        (SIGKILL, 0.7), (SIGKILL, "prediction.json"), (SIGTERM, 0.6), (SIGTERM, "prediction.dcm"),
        (SIGINT, 0.2), (SIGHUP, 0.8),
    ],
}  # fmt: skip
COMMANDS = [name for name in KILLS if name != "serving" or PYTHON.exists()]


@pytest.mark.parametrize("name", KILLS)
def test_a_killed_command_leaves_nothing_and_ends_the_same(name, request, tally):
    command: Command = request.getfixturevalue(name)
    wrong: list[str] = []
    for number, at in KILLS[name]:

        def count(number=number, at=at) -> Counter[str]:
            whole, _ = command.whole
            ready = command.stop(number, at)
            said, where = command.said, f"{name}, {number.name} at {at}"
            assert command.alive() == [], where
            assert_whole(command.place / "out")
            if number != SIGKILL:
                assert command.left() == [], where
            if number != SIGKILL and ready:
                assert "Traceback" not in said, f"{where}: {said[-3000:]}"
                assert said.count("stopped") == 1, f"{where}: {said[-3000:]}"
            found = command.finish(command.start())
            assert command.left() == [], f"{where}, given again"
            assert {file for file in {*found, *whole} if found.get(file) != whole.get(file)} == set(), where
            return Counter(tried=1, done=1)

        try:
            tally("kills").part(f"{name} {number.name} {at}", count)
        except (AssertionError, subprocess.TimeoutExpired) as error:  # the others are tried all the same
            wrong.append(str(error))
            print(error, flush=True)
    assert not wrong, "\n\n".join(wrong)


def test_the_kills_are_counted(tally):
    tally("kills").close(sum(len(KILLS[name]) for name in COMMANDS))
