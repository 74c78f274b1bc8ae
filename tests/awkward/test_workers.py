# SPDX-License-Identifier: Apache-2.0
"""What a worker finds is said as one process says it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["", pytest.param("--workers 1", marks=pytest.mark.slow)])
def test_a_bad_file_is_one_line_whatever_the_number_of_workers(workers, awkward, tmp_path):
    folder = awkward("5")
    text = tmp_path / "data"
    text.mkdir()
    for case in sorted((folder / "data").iterdir()):
        (text / case.name).symlink_to(case)
    for case in ("p003", "p004"):
        (text / case).unlink()
        (text / case).mkdir()
        (text / case / "arterial.nii.gz").write_bytes(b"no image")
    command = [sys.executable, "-m", "monai.bundle", "run", "preparing"]
    command += ["--config_file", "configs/prepare.yaml"]
    command += ["--layout", "folders", "--source", str(text), "--labels", str(folder / "labels.csv")]
    command += ["--output", str(tmp_path / "out"), *workers.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("  case ")]
    named = [line.split()[1].rstrip(":") for line in lines]
    assert (named.count("p003"), named.count("p004")) == (1, 1)
    assert all(str(text) in line and "; " in line for line in lines)


CODE = """
import os, sys, time
from pathlib import Path
from scripts.files import errors
from scripts.files.processes import work_through

def busy(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(120)

errors.install()
work_through(busy, [sys.argv[1]] * 2, 2, processes=True)
"""


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(number, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(workers := [int(file.name) for file in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(10) == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


BLOCKED = """
import json
import os
from pathlib import Path
from scripts.files.processes import work_through

def blocked(_):
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk:"))

print(work_through(blocked, [0, 1], 2, processes=True))
"""


def test_workers_hear_neither_ctrl_c_nor_a_closed_terminal():
    done = subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, timeout=60)
    mask = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP))
    assert [found & mask for found in json.loads(done.stdout)] == [mask, mask], done.stderr


OUTLIVE = """
import os, signal, time
from multiprocessing import resource_tracker
from joblib.externals.loky.backend import resource_tracker as of_loky
from scripts.files.processes import work_through

os.setpgrp()
work_through(abs, [0, 1], 2, processes=True)
trackers = {one._resource_tracker._pid for one in (resource_tracker, of_loky)} - {None}
signal.signal(signal.SIGHUP, lambda *_: None)
os.killpg(0, signal.SIGHUP)
time.sleep(0.5)
print([open(f"/proc/{one}/status").read().split("State:")[1].split()[0] for one in trackers])
"""


@pytest.mark.slow
def test_what_keeps_count_of_shared_memory_outlives_a_closed_terminal():
    done = subprocess.run([sys.executable, "-c", OUTLIVE], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert set(json.loads(done.stdout.replace("'", '"'))) == {"S"}, done.stdout + done.stderr
