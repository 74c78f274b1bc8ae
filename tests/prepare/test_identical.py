# SPDX-License-Identifier: Apache-2.0
"""The same voxels under two names are found, however the files are packed, and never parted by a split."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import fire
import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.bundle.scripts import run
from scripts.cases.splits import SPLITS
from workbench.prepare.identical import identical_volumes, settle_identical
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

from tests.conftest import ROOT

ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def voxels(seed: int) -> np.ndarray:
    """Return an image whose first slice is dark, as of a skull-stripped head: it tells nothing apart."""
    image = np.random.default_rng(seed).integers(0, 900, (12, 10, 6)).astype(np.int16)
    image[:, :, 0] = 0
    return image


def save(path: Path, image: np.ndarray, spacing: float = 1.0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mha":
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(image.T), str(path), useCompression=True)
    else:
        nibabel.save(nibabel.Nifti1Image(image, np.diag([spacing, spacing, 2.0, 1.0])), path)
    return str(path)


def entry(case: str, patient: str = "", **image: str) -> dict:
    return {"case": case, "image": image, "label": "low"} | ({"patient": patient} if patient else {})


def scaled(path: Path, image: np.ndarray) -> str:
    """Write voxels as halves of what they are, with a slope of 2 in the header."""
    save(path, image)
    file = nibabel.Nifti1Image(image // 2, np.eye(4))
    file.header.set_slope_inter(2, 0)
    nibabel.save(file, path)
    return str(path)


def test_copies_are_found_however_they_are_packed(tmp_path):
    one = voxels(1) // 2 * 2
    cases = [
        entry("a", pre=save(tmp_path / "a.nii.gz", one)),
        entry("b", pre=save(tmp_path / "b.nii", one, 3)),
        entry("c", pre=save(tmp_path / "c.mha", one)),
        entry("d", pre=save(tmp_path / "d.nii.gz", voxels(2))),
        entry("e", pre=save(tmp_path / "e.nii.gz", one.astype(np.float64))),
        entry("f", pre=scaled(tmp_path / "f.nii.gz", one)),
        entry("g", pre=save(tmp_path / "g.nii.gz", one[:, :, ::-1])),
        entry("h", pre=save(tmp_path / "h.nii.gz", np.where(voxels(3) == voxels(3).max(), 0, one))),
    ]
    pairs = identical_volumes(cases)
    assert [(pair.first.case, pair.second.case) for pair in pairs] == [("a", name) for name in "bcef"]
    assert str(pairs[0]) == (
        "case a, phase 'pre' and case b, phase 'pre' hold the same voxels; remove one of the cases, or give "
        "both the same patient if it is one person"
    )


def test_those_who_share_an_image_are_one_patient_also_by_way_of_a_third(tmp_path):
    one, other = (save(tmp_path / f"{seed}.nii.gz", voxels(seed)) for seed in (1, 2))
    cases = [
        entry("a", pre=one),
        entry("b", "B", pre=other),
        entry("c", pre=save(tmp_path / "c.nii", voxels(1)), late=save(tmp_path / "d.nii", voxels(2))),
        entry("d", "B", pre=save(tmp_path / "e.nii", voxels(3))),
        entry("e", pre=save(tmp_path / "f.nii", voxels(4))),
    ]
    settled, notes = settle_identical(cases)
    assert [case.get("patient") for case in settled] == ["B", "B", "B", "B", None]
    assert sum("counts as patient" in note for note in notes) == 2
    assert [case.get("patient") for case in settle_identical(cases, allowed=True)[0]] == [None, "B", None, "B", None]


def test_a_patient_may_show_an_image_twice_but_is_told(tmp_path):
    file = save(tmp_path / "a.nii.gz", voxels(1))
    cases = [entry("a", "P", pre=file, late=file), entry("b", "P", pre=file)]
    settled, notes = settle_identical(cases)
    assert settled == cases
    assert ["copy under a wrong name" in note for note in notes] == [True, False]


def cohort(folder: Path) -> Path:
    """Write 12 cases; the images of c00 and c11 are the same, one of them compressed."""
    rows = ["case,label"]
    for number in range(12):
        ending = "nii" if number == 11 else "nii.gz"
        save(folder / "in" / f"c{number:02d}" / f"pre.{ending}", voxels(number % 11))
        rows.append(f"c{number:02d},{['low', 'high'][number % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_preparing_keeps_copies_in_one_split_whatever_the_seed(tmp_path, capsys):
    folder = cohort(tmp_path)
    settings = {"source": folder / "in", "layout": "folders", "labels": folder / "labels.csv"}
    parted = []
    for seed in range(6):
        splits_of = []
        for allowed in (False, True):
            output = folder / f"{seed}_{allowed}"
            content = json.loads(
                prepare(Settings(**settings, output=output, seed=seed, allow_identical=allowed)).read_text()
            )
            found = {s: [e for e in content[s] if e["case"] in ("c00", "c11")] for s in SPLITS}
            splits_of.append(sum(bool(entries) for entries in found.values()))
        assert splits_of[0] == 1
        parted.append(splits_of[1] > 1)
    assert any(parted), "the test would hold without the rule"
    assert capsys.readouterr().out.count("\nnote: patient c11 counts as patient c00") == 6


def test_preparing_refuses_copies_that_the_source_puts_into_two_splits(tmp_path):
    folder = cohort(tmp_path)
    lines = (folder / "labels.csv").read_text().splitlines()
    splits = ["training"] * 6 + ["validation"] * 3 + ["test"] * 3
    rows = [f"{line},{split}" for line, split in zip(lines[1:], splits, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["case,label,split", *rows]))
    settings = {"source": folder / "in", "layout": "folders", "labels": folder / "labels.csv"}
    with pytest.raises(
        ValueError, match=r"case c00, .* \(training\) and case c11, .* \(test\) .*--allow_identical True"
    ) as error:
        prepare(Settings(**settings, output=folder / "out"))
    assert "\n" not in str(error.value)
    assert not (folder / "out" / "dataset.json").exists()
    prepare(Settings(**settings, output=folder / "out", allow_identical=True))


@pytest.mark.parametrize(("text", "patients"), [("false", 11), ("No", 11), ("TRUE", 12)])
def test_the_command_line_s_false_is_false(text, patients, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    rows = []
    for number in range(12):
        save(tmp_path / "in" / f"p{number}" / "pre.nii.gz", voxels(max(number, 1)))
        rows.append(f"p{number},{'low' if number % 2 else 'high'}\n")
    (tmp_path / "labels.csv").write_text("case,label\n" + "".join(rows))
    command = [
        "preparing", "--config_file", "configs/prepare.yaml", "--layout", "folders",
        "--source", str(tmp_path / "in"), "--labels", str(tmp_path / "labels.csv"),
        "--output", str(tmp_path / "out"), "--workers", "1", "--quality", "false", "--allow_identical", text,
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        fire.Fire(run, command=command)
    document = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert len({entry.get("patient", entry["case"]) for split in SPLITS for entry in document[split]}) == patients
    assert not (tmp_path / "out" / "quality.html").exists()


def test_too_few_patients_are_said_to_be_copies(tmp_path):
    rows = ["case,label"]
    for number in range(6):
        save(tmp_path / "in" / f"c{number}" / "pre.nii.gz", voxels(number if number % 2 else 0))
        rows.append(f"c{number},{'ab'[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    settings = {"source": tmp_path / "in", "layout": "folders", "labels": tmp_path / "labels.csv"}
    with pytest.raises(
        ValueError, match=r"found 1; .*share an image count as one: c2 as c0, c4 as c0; --allow_identical"
    ):
        prepare(Settings(**settings, output=tmp_path / "out"))


def look_alikes(folder: Path, shape: tuple[int, int, int]) -> Path:
    """Write 7 cases of int16 that differ in one voxel, the last two not at all, each with a small mask."""
    tile = np.random.default_rng(0).integers(0, 900, (*shape[:2], 8)).astype(np.int16) // 64 * 64
    image = np.asfortranarray(np.tile(tile, (1, 1, shape[2] // 8)))
    image[:, :, 0] = 0
    mask = np.zeros(shape, np.uint8, order="F")
    mask[10:20, 10:20, 2:6] = 1
    for number in range(7):
        image[5, 5, -1] = min(number, 5)
        for name, voxels in (("pre", image), ("lesion", mask)):
            file = folder / "in" / f"c{number}" / f"{name}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.5, 0.5, 0.6, 1.0])), file)
    rows = [f"c{number},{['low', 'high'][number > 2]}" for number in range(7)]
    (folder / "labels.csv").write_text("\n".join(["case,label", *rows]))
    return folder


def peak_of(*arguments: str) -> float:
    """Return the largest memory in MiB that a command of the bundle ever held, asked of the system."""
    command = [sys.executable, "-m", "monai.bundle", "run", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | ONE_THREAD)
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, AttributeError):  # it has just ended
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
        time.sleep(0.02)
    assert process.returncode == 0
    return peak / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell its memory")
def test_look_alike_large_volumes_take_the_memory_of_small_ones(tmp_path, monkeypatch):
    """A volume is 300 MiB as float32, of which the comparison and each check once held several copies."""
    monkeypatch.setattr(nibabel.openers.Opener, "default_compresslevel", 1)
    peaks = {}
    for shape in ((64, 64, 16), (512, 512, 304)):
        folder = look_alikes(tmp_path / str(shape[0]), shape)
        settings = ["--source", str(folder / "in"), "--labels", str(folder / "labels.csv"), "--workers", "1"]
        settings += ["--layout", "folders", "--output", str(folder / "out")]
        peaks[shape] = peak_of("preparing", "--config_file", "configs/prepare.yaml", *settings)
    small, large = peaks.values()
    assert large - small < 250, peaks
    assert large < 1024
