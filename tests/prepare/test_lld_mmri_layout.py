# SPDX-License-Identifier: Apache-2.0
"""Layout `lld_mmri`: whole volumes with the boxes of Annotation.json, and the crops with labels.txt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scripts.volumes.open import open_volume
from workbench.prepare.layouts.lld_mmri import PHASES
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

USED = ["hepatic_hemangioma", "hepatocellular_carcinoma"]
NAMES = ["Hepatic_hemangioma", "Hepatocellular_carcinoma"]
TILTED = np.array([[-2.0, 0, 0, 30], [0, 0, 5.0, -60], [0, -2.0, 0, 50], [0, 0, 0, 1]])
"""First axis to the left, second downwards, third to the front: coronal, beside the other phases."""


def lesion(category, low, high) -> dict:
    box = {
        f"{axis}_{end}": str(value)
        for end, corner in (("min", low), ("max", high))
        for axis, value in zip("xyz", corner, strict=True)
    }
    return {"category": category, "bbox": {"3D_box": box, "2D_box": []}}


@pytest.fixture
def whole(save_volume, tmp_path) -> Path:
    """Ten patients as the organisers lay them out; 3 has two lesions, 10 an inaccessible class."""
    info: dict[str, list] = {}
    for number in range(1, 11):
        patient = f"MR-{number}"
        for index, phase in enumerate(PHASES):
            affine = TILTED if phase == "DWI" else np.diag([2.0, 2.0, 5.0, 1.0])
            save_volume(tmp_path / f"LLD/images/{patient}/1.{number}/9.{index}.nii.gz", affine=affine)
            category = -1 if number == 10 else NAMES[number % 2]
            lesions = {"0": lesion(category, (2, 3, 4), (6, 9, 7))}
            if number == 3:
                lesions["1"] = lesion(category, (1, 1, 1), (2, 2, 2))
            entry = {"studyUID": f"1.{number}", "seriesUID": f"9.{index}", "phase": phase, "pixel_spacing": [2, 2]}
            info.setdefault(patient, []).append(
                entry | {"slice_thickness": 5, "annotation": {"num_targets": 1, "lesion": lesions}}
            )
    (tmp_path / "LLD/labels").mkdir()
    (tmp_path / "LLD/labels/Annotation.json").write_text(json.dumps({"Annotation_info": info}))
    return tmp_path / "LLD"


def test_the_box_holds_the_voxels_that_the_annotation_names_in_every_phase(whole, tmp_path):
    file = prepare(Settings(whole, "lld_mmri", tmp_path / "out", classes=USED, quality=False))
    content = json.loads(file.read_text())
    entries = {e["case"]: e for split in ("training", "validation", "test", "unlabelled") for e in content[split]}
    low, high = np.array(entries["MR-1"]["box"])
    for phase in PHASES:
        affine = open_volume(entries["MR-1"]["image"][phase]).affine
        for i in (1.5, 6.5):  # the outer faces of the voxels 2 to 6
            for j in (2.5, 9.5):
                for k in (3.5, 7.5):
                    place = (affine @ [i, j, k, 1])[:3]
                    assert (place >= low - 0.01).all()
                    assert (place <= high + 0.01).all()
    np.testing.assert_allclose([low, high], [[3, -42.5, 17.5], [27, 19, 45]])


def test_the_box_of_one_phase_is_exactly_its_voxels(whole, tmp_path):
    file = whole / "labels/Annotation.json"
    content = json.loads(file.read_text())
    for patient, series in content["Annotation_info"].items():
        content["Annotation_info"][patient] = series[1:2]
    file.write_text(json.dumps(content))
    entries = json.loads(prepare(Settings(whole, "lld_mmri", tmp_path / "out", classes=USED)).read_text())["training"]
    assert PHASES[1] == "DWI"
    # i 1.5..6.5 -> R = 30 - 2 i; k 3.5..7.5 -> A = 5 k - 60; j 2.5..9.5 -> S = 50 - 2 j
    assert [[17, -42.5, 31], [27, -22.5, 45]] in [entry["box"] for entry in entries]


def test_labels_lesions_and_patients(whole, tmp_path):
    content = json.loads(
        prepare(Settings(whole, "lld_mmri", tmp_path / "out", classes=USED, quality=False)).read_text()
    )
    assert [entry["case"] for entry in content["unlabelled"]] == ["MR-10"]
    entries = {e["case"]: (split, e) for split in ("training", "validation", "test") for e in content[split]}
    assert len(entries) == 10
    assert entries["MR-4"][1]["label"] == "hepatic_hemangioma"
    (first, one), (second, two) = entries["MR-3"], entries["MR-3_1"]
    assert (one["patient"], first, one["image"]) == (two["patient"], second, two["image"])
    assert one["box"] != two["box"]


def spoil(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content["Annotation_info"]["MR-2"][0])
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda series: series["annotation"]["lesion"].update({"0": lesion(6, (2, 3, 40), (6, 9, 70))}),
            r"case MR-2: the box of phase 'T2WI' must lie in the volume of \(16, 16, 12\) .*not to crops",
        ),
        (
            lambda series: series["annotation"]["lesion"].update({"0": lesion("Hepatic_cist", (2, 3, 4), (6, 9, 7))}),
            r"case MR-2 in .*class 'Hepatic_cist' is not among .*nearest: 'hepatic_cyst'",
        ),
        (
            lambda series: series["annotation"]["lesion"].update({"0": lesion(4, (2, 3, 4), (6, 9, 7))}),
            r"case MR-2: all phases must name one class, found \['hepatic_cyst', 'hepatic_hemangioma'\]",
        ),
        (lambda series: series.update(phase="T2"), r"case MR-2: phase 'T2' is not among"),
        (lambda series: series.update(seriesUID="0"), r"case MR-2: phase 'T2WI' must be .*0.nii.gz or .*T2WI.nii.gz"),
        (lambda series: series.pop("annotation"), r"must hold Annotation_info -> .*KeyError: 'annotation'"),
    ],
    ids=["box outside", "unknown class", "two classes", "unknown phase", "no file", "no annotation"],
)
def test_a_broken_annotation_is_one_line(change, message, whole, tmp_path):
    spoil(whole / "labels/Annotation.json", change)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        prepare(Settings(whole, "lld_mmri", tmp_path / "out"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out/dataset.json").exists()


def test_crops_with_labels(save_volume, tmp_path, capsys):
    root = tmp_path / "classification_dataset"
    rows = []
    for number in range(9):
        case = f"MR-{number}" if number < 8 else "MR-3_1"
        for phase in PHASES[: 7 if number == 0 else 8]:
            save_volume(root / f"images/{case}/{phase}.nii.gz")
        if number != 7:
            rows.append(f"{case} {[0, 6][number % 2] if number < 8 else 6}")
    (root / "labels").mkdir()
    (root / "labels/labels.txt").write_text("\n".join([*rows, "MR-99 2"]))
    content = json.loads(prepare(Settings(root, "lld_mmri", tmp_path / "out", classes=USED)).read_text())
    entries = {e["case"]: (split, e) for split in ("training", "validation", "test") for e in content[split]}
    assert entries["MR-3"][0] == entries["MR-3_1"][0]
    assert entries["MR-3_1"][1]["patient"] == "MR-3"
    assert (entries["MR-5"][1]["label"], "box" in entries["MR-5"][1]) == ("hepatocellular_carcinoma", False)
    assert PHASES[7] not in entries["MR-0"][1]["image"]
    assert [entry["case"] for entry in content["unlabelled"]] == ["MR-7"]
    assert "rows without a folder, left out: MR-99" in capsys.readouterr().out
    (root / "labels/labels.txt").write_text("MR-1")
    with pytest.raises(ValueError, match=r"labels.txt: line 1 must be a case and a class number, found 'MR-1'"):
        prepare(Settings(root, "lld_mmri", tmp_path / "other"))
