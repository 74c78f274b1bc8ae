"""The same voxels under two names are found, however the files are packed, and never parted by a split."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import fire
import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.bundle.scripts import run

from scripts.data import prepare
from scripts.data.identical import identical_volumes, settle_identical
from scripts.data.splits import SPLITS
from tests.conftest import ROOT


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
    assert [case.get("patient") for case in settle_identical(cases, allowed=True)[0]] == [
        None,
        "B",
        None,
        "B",
        None,
    ]


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
                prepare(**settings, output=output, seed=seed, allow_identical=allowed).read_text()
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
        prepare(**settings, output=folder / "out")
    assert "\n" not in str(error.value)
    assert not (folder / "out" / "dataset.json").exists()
    prepare(**settings, output=folder / "out", allow_identical=True)


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
    assert (
        len({entry.get("patient", entry["case"]) for split in SPLITS for entry in document[split]})
        == patients
    )
    assert not (tmp_path / "out" / "quality.html").exists()
