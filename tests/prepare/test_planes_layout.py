# SPDX-License-Identifier: Apache-2.0
"""Layout `planes`: 2D images by phase, plane, split and class, joined by the case in their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import yaml
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

PHASES = {"PS": "pre", "DMQ": "arterial", "MMQ": "portal"}
PLANES = ["Axial", "Coronal", "Sagittal"]


def write_image(file: Path) -> None:
    """Write a grey picture of 40 rows and 60 columns."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((40, 60), dtype=np.uint8)), str(file))


@pytest.fixture
def planes(tmp_path) -> Path:
    """Eight cases in train and four in val; file names in the three planes sort in different orders."""
    for folder in PHASES:
        for plane in PLANES:
            for number in range(12):
                case = {"Axial": f"{number}_axial", "Coronal": f"Coronal_{number}", "Sagittal": f"{folder}-{number}"}
                split = "train" if number < 8 else "val"
                file = tmp_path / "root" / folder / plane / split / "ab"[number % 2] / f"{case[plane]}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                write_image(file)
    return tmp_path / "root"


def test_views_are_joined_by_case_and_not_by_order(planes, tmp_path, capsys):
    file = prepare(Settings(planes, "planes", tmp_path / "out"))
    content = json.loads(file.read_text())
    channels = [f"{phase}_{view.lower()}" for phase in PHASES.values() for view in PLANES]
    assert content["phases"] == channels
    assert content["views"] == ["axial", "coronal", "sagittal"]
    cases = read_cases(file, channels, ["a", "b"])
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert set(items) == {str(number) for number in range(12)}
    image = items["10"]["image"]
    assert image["arterial_axial"] == str(planes / "DMQ/Axial/val/a/10_axial.png")
    assert image["portal_coronal"] == str(planes / "MMQ/Coronal/val/a/Coronal_10.png")
    assert image["pre_sagittal"] == str(planes / "PS/Sagittal/val/a/PS-10.png")
    assert {item["case"] for item in cases.test} == {"8", "9", "10", "11"}  # val was steering no one yet
    printed = capsys.readouterr().out
    assert "'val' is the test split" in printed
    overlay = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert overlay["phases"] == list(PHASES.values())
    assert overlay["views"] == ["axial", "coronal", "sagittal"]
    assert overlay["grid_size"] == [1, 40, 60]
    assert overlay["spacing"] == [1.0, 2.5, 1.666667]
    assert overlay["intensity"]["upper"] == 255.0


def test_an_own_test_folder_keeps_val_for_validation(planes, tmp_path):
    for number, label in ((20, "a"), (21, "b")):
        for folder in PHASES:
            file = planes / folder / "Axial/test" / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_image(file)
    content = json.loads(prepare(Settings(planes, "planes", tmp_path / "out")).read_text())
    assert [len(content[split]) for split in ("training", "validation", "test")] == [8, 4, 2]
    assert list(content["test"][0]["image"]) == ["pre_axial", "arterial_axial", "portal_axial"]


def test_phases_by_other_names(planes, tmp_path):
    (planes / "DMQ").rename(planes / "AP_2019")
    content = json.loads(prepare(Settings(planes, "planes", tmp_path / "out", phase_names={"art": "AP*"})).read_text())
    assert content["phases"] == ["art_axial", "art_coronal", "art_sagittal"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "DMQ/Axial/train/a/2_axial.png",
            "DMQ/Axial/train/b/2_axial.png",
            r"case 2 must have one class and one split, found 'a' in training and 'b' in training",
        ),
        (
            "DMQ/Axial/train/a/2_axial.png",
            "DMQ/Axial/train/a/axial-4.png",
            r"case 4: arterial_axial must be one image, found .*4_axial.png and .*axial-4.png",
        ),
        ("DMQ/Axial/val/a/8_axial.png", "DMQ/Axial/val/a/2_axial.png", r"case 2: arterial_axial must be one image"),
    ],
    ids=["two classes", "two images", "two splits"],
)
def test_names_that_do_not_tell_cases_apart_are_refused(old, new, message, planes, tmp_path):
    (planes / old).rename(planes / new)
    with pytest.raises(ValueError, match=message) as raised:
        prepare(Settings(planes, "planes", tmp_path / "out"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_planes_is_refused(planes, tmp_path):
    with pytest.raises(ValueError, match=r"must hold <phase>/<Axial\|Coronal\|Sagittal>.*found the folders \[Axial,"):
        prepare(Settings(planes / "DMQ", "planes", tmp_path / "out"))
