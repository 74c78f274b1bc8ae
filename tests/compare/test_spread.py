# SPDX-License-Identifier: Apache-2.0
"""Jobs side by side, in processes or on a Dask cluster, and after a kill: always with the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripts.files.errors import message_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images_only(settings) -> dict:
    """A comparison of three networks over two folds: six jobs."""
    return settings | {"clinical": [], "strategies": ["concat"]}


@pytest.fixture(scope="module")
def reference(bundle, images_only, tmp_path_factory) -> Path:
    """The comparison, undisturbed, job after job in this process."""
    folder = tmp_path_factory.mktemp("reference") / "out"
    bundle("comparing", ["configs/compare.yaml"], output_dir=str(folder), **images_only)
    return folder


def tables(folder: Path) -> dict[str, bytes]:
    names = ["comparison.csv", "summary.csv", "pairs.csv"]
    files = [folder / name for name in names] + sorted((folder / "predictions").iterdir())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def started(folder: Path) -> int:
    """Number of jobs whose training has begun."""
    return len(list(folder.glob("jobs/*/configs")))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bytes(reference, images_only, tmp_path):
    """Kill -9 at random moments, sometimes with all workers, sometimes leaving these to themselves."""
    folder = tmp_path / "out"
    line = [sys.executable, "-m", "monai.bundle", "run", "comparing", "--config_file", "configs/compare.yaml"]
    for key, value in (images_only | {"jobs": 2, "output_dir": folder}).items():
        line += [f"--{key}", str(value)]
    drawn = random.Random(0)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    kills = 0
    while kills < 4:
        before = started(folder)
        process = subprocess.Popen(line, start_new_session=True, **quiet)
        while started(folder) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, 2))
        if process.poll() is not None:  # a fast machine was done before
            break
        if kills % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        kills += 1
    assert kills >= 2
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    assert tables(folder) == tables(reference)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(reference, bundle, images_only, tmp_path):
    distributed = pytest.importorskip("distributed", reason="pip install -r requirements-dask.txt")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        where = {"backend": "dask", "scheduler": cluster.scheduler_address}
        folder = tmp_path / "out"
        bundle("comparing", ["configs/compare.yaml"], output_dir=str(folder), **(images_only | where))
    assert tables(folder) == tables(reference)


@pytest.mark.slow
def test_dask_workers_with_several_threads_are_refused(bundle, images_only, tmp_path):
    distributed = pytest.importorskip("distributed", reason="pip install -r requirements-dask.txt")
    folder = tmp_path / "out"
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        where = {"backend": "dask", "scheduler": cluster.scheduler_address, "output_dir": str(folder)}
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
            bundle("comparing", ["configs/compare.yaml"], **(images_only | where))
    assert "every Dask worker must have one thread" in (message_of(caught.value) or "")
    assert not (folder / "jobs").exists()


@pytest.mark.slow
def test_without_dask_the_line_says_how_to_get_it(compared, bundle, settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the line itself is asserted
        bundle(
            "comparing",
            ["configs/compare.yaml"],
            output_dir=str(compared),
            **(settings | {"backend": "dask", "repeats": 2}),
        )
    assert "pip install -r requirements-dask.txt" in (message_of(caught.value) or "")
