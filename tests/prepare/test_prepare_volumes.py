# SPDX-License-Identifier: Apache-2.0
"""The command `preparing` with bias correction and registration, cut off on the way and run again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from scripts.cases.read import read_cases
from workbench.prepare.phantom.acquisition import make_case

from tests.prepare.test_registration import moved_case

ROOT = Path(__file__).resolve().parents[2]
CASES = 6


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Six phantom cases as if they were MR: above 0, the other phases moved."""
    rows = ["case,label,site"]
    numbers = [number for number in range(20) if "portal" in make_case(0, number).images][:CASES]
    for index, number in enumerate(numbers):
        entry, _, _ = moved_case(tmp_path / "in", number)
        for file in entry["image"].values():
            image = nibabel.load(file)
            voxels = np.asarray(image.dataobj) + np.int16(1100)
            nibabel.save(nibabel.Nifti1Image(voxels, image.affine), file)
        rows.append(f"{entry['case']},{['low', 'high'][index % 2]},A")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def command(folder: Path, *options: str) -> list[str]:
    given = ["--source", str(folder / "in"), "--layout", "folders", "--labels", str(folder / "labels.csv")]
    given += ["--output", str(folder / "out"), "--reference_phase", "portal", "--workers", "1", *options]
    run = [sys.executable, "-m", "monai.bundle", "run", "preparing"]
    return [*run, "--config_file", "configs/prepare.yaml", *given]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_stopped(cohort):
    options = ["--registration", "rigid", "--bias_correction", "n4", "--bias_phases", "[pre]"]
    out = cohort / "out"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command(cohort, *options), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(out.rglob("registered/*/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.wait()
    assert not (out / "dataset.json").exists()
    done = {file: file.stat().st_mtime_ns for file in out.rglob("*/*/*.json")}
    assert 2 <= len(list(out.rglob("registered/*/*.json"))) < 2 * CASES

    second = subprocess.run(
        command(cohort, *options), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert second.returncode == 0, second.stderr
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert "phases to the reference phase, moved by a median of" in second.stdout
    settings = yaml.safe_load((out / "data.yaml").read_text())
    cases = read_cases(out, settings["phases"], settings["classes"])
    for item in [*cases.training, *cases.validation, *cases.test]:
        for phase, file in item["image"].items():
            assert ("registered" in file) == (phase != "portal")
            assert nibabel.load(file).shape == nibabel.load(cohort / "in" / item["case"] / f"{phase}.nii.gz").shape
    assert not [file for file in out.rglob("*") if file.name.startswith(".")]


@pytest.mark.slow
def test_a_mistake_that_another_process_finds_is_one_line(cohort):
    image = nibabel.load(cohort / "in" / "p0" / "pre.nii.gz")
    dark = np.asarray(image.dataobj) - np.int16(2000)
    nibabel.save(nibabel.Nifti1Image(dark, image.affine), cohort / "in" / "p0" / "pre.nii.gz")
    run = subprocess.run(
        command(cohort, "--bias_correction", "n4", "--bias_phases", "[pre]", "--workers", "2"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 1
    assert "error: case p0: phase 'pre': the volume must be above 0 in its foreground" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (cohort / "out" / "dataset.json").exists()


@pytest.mark.slow
def test_a_wrong_setting_is_one_line(cohort):
    run = subprocess.run(command(cohort, "--registration", "rigd"), cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "registration must be one of [none, rigid, affine, deformable] (nearest: 'rigid')" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (cohort / "out").exists()
