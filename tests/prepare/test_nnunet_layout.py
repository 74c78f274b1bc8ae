# SPDX-License-Identifier: Apache-2.0
"""Layout `nnunet`: numbered channels and masks, with a table of classes or without any class."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

V2 = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "zone": 1, "lesion": 2}, "numTraining": 8}
V1 = {"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "zone", "2": "lesion"}}


def save(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), path)


def mask(*values: int) -> np.ndarray:
    drawn = np.zeros((12, 12, 8), np.uint8)
    for place, value in enumerate(values):
        drawn[2 + 3 * place : 5 + 3 * place, 3:9, 2:6] = value
    return drawn


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight training cases, of which one has no mask, one an empty one, one a single channel; two without masks."""
    folder = tmp_path / "Dataset001_Prostate"
    rng = np.random.default_rng(0)
    for part, number in (("Tr", 8), ("Ts", 2)):
        for index in range(number):
            case = f"{part}_{index:02d}"
            for channel in range(1 if case == "Tr_02" else 2):
                voxels = rng.integers(0, 200, (12, 12, 8)).astype(np.int16)
                save(folder / f"images{part}" / f"{case}_{channel:04d}.nii.gz", voxels)
            if part == "Tr" and index != 7:
                drawn = mask() if index == 6 else mask(1, 2)
                save(folder / "labelsTr" / f"{case}.nii.gz", drawn)
    (folder / "dataset.json").write_text(json.dumps(V2 | {"file_ending": ".nii.gz"}))
    return folder


def everyone(cases) -> dict[str, dict]:
    return {item["case"]: item for split in ("training", "validation", "test") for item in getattr(cases, split)}


@pytest.mark.parametrize("described", [V1, V2])
def test_without_classes_the_dataset_is_for_outlines(described, source, tmp_path, capsys):
    (source / "dataset.json").write_text(json.dumps(described))
    file = prepare(Settings(source, "nnunet", tmp_path / "out"))
    cases = read_cases(file, ["T2", "ADC"], [], labels=False)
    assert (cases.structures, cases.classes, cases.class_counts) == (["zone", "lesion"], [], [])
    assert sorted(everyone(cases)) == [f"Tr_{n:02d}" for n in range(7)]
    assert [len(split) for split in (cases.training, cases.validation, cases.test)] == [4, 1, 2]
    assert [item["case"] for item in cases.unlabelled] == ["Tr_07", "Ts_00", "Ts_01"]
    item = everyone(cases)["Tr_02"]
    assert (list(item["image"]), item["roi"], "label" in item) == (
        ["T2"], str(source / "labelsTr/Tr_02.nii.gz"), False
    )  # fmt: skip
    content = json.loads(Path(str(file)).read_text())
    assert "classes" not in content
    overlay = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert "classes" not in overlay
    assert overlay["region"]["_target_"] == "scripts.transforms.WholeVolumeRegiond"
    printed = capsys.readouterr().out
    assert "can be outlined but not classified; --labels FILE.csv gives classes" in printed
    assert "masks: 7 of 10 cases have them: 7 for all phases together\n" in printed
    assert "structures, by the value of the masks: 1 zone (6 cases), 2 lesion (6 cases)" in printed
    assert "cases in whose masks nothing is drawn: Tr_06" in printed
    assert "run segmenting --config_file" in printed
    grid = '--spacing "[1.0, 1.0, 2.0]" --grid_size "[12, 12, 8]"'
    assert printed.rstrip().endswith(f"'configs/segment.yaml']\" {grid} --empty_masks True")
    with pytest.raises(
        ValueError, match=r"case Tr_\d\d \(training\) must have a 'label', found none in .*dataset.json"
    ):
        read_cases(file, ["T2", "ADC"], ["no", "yes"])


def test_with_a_table_the_cases_have_classes_and_masks_of_labelsts_are_the_test(source, tmp_path):
    (source / "labelsTr/Tr_06.nii.gz").unlink()
    rows = [f"Tr_{n:02d},{['no', 'yes'][n % 2]}" for n in range(6)] + ["Ts_00,no", "Ts_01,yes"]
    (tmp_path / "labels.csv").write_text("case,label\n" + "\n".join(rows))
    for index in range(2):
        save(source / f"labelsTs/Ts_{index:02d}.nii.gz", mask(1, 2))
    settings = {"labels": tmp_path / "labels.csv", "without_mask": "leave_out"}
    file = prepare(Settings(source, "nnunet", tmp_path / "out", **settings))
    cases = read_cases(file, ["T2", "ADC"], ["no", "yes"])
    assert {item["case"] for item in cases.test} == {"Ts_00", "Ts_01"}
    assert cases.structures == ["zone", "lesion"]
    assert len(everyone(cases)) == 8
    without = read_cases(file, ["T2", "ADC"], ["no", "yes"], labels=False)
    assert [item["label"] for item in without.test] == [item["label"] for item in cases.test]


def test_folds_of_outlines_test_each_case_with_a_mask_once(source, tmp_path):
    prepare(Settings(source, "nnunet", tmp_path / "out", folds=3))
    tested = [
        item["case"]
        for n in (1, 2, 3)
        for item in read_cases(tmp_path / f"out/folds/r1_f{n}", ["T2"], [], labels=False).test
    ]
    assert sorted(tested) == [f"Tr_{n:02d}" for n in range(7)]


def described(**changes):
    return lambda root: (root / "dataset.json").write_text(json.dumps(V2 | changes))


MISTAKES = {
    "no dataset.json": (lambda root: (root / "dataset.json").unlink(), r"dataset.json does not exist; pass the folder"),
    "channels not numbered from 0": (described(channel_names={"1": "T2"}), r"must name the channels 0 to 0, found"),
    "no labels": (described(labels={}), r"must have 'labels', an object as nnU-Net writes it, found \{\}"),
    "regions": (described(labels={"background": 0, "whole": [1, 2], "lesion": 2}), r"found the regions \[whole\]"),
    "voxels to be ignored": (
        described(labels={"background": 0, "zone": 1, "ignore": 2}),
        r"found 'ignore' \(value 2\)",
    ),
    "a gap": (described(labels={"background": 0, "zone": 1, "lesion": 3}), r"1, 2, \.\.\. without a gap, found"),
    "slices as pictures": (described(file_ending=".png"), r"'file_ending' must be one of .*, found '.png'"),
    "more channels than names": (
        described(channel_names={"0": "T2"}),
        r"Tr_00_0001.nii.gz must end in the number of its channel, _0000.nii.gz to _0000.nii.gz",
    ),
    "a value without a name": (
        lambda root: save(root / "labelsTr/Tr_03.nii.gz", mask(1, 4)),
        r"case Tr_03: roi: the volume must hold 0 and the values 1 to 2 of `structures` \(zone, lesion\), found 4 in",
    ),
    "a structure that no training case has": (
        described(labels={"background": 0, "zone": 1, "lesion": 2, "stent": 3}),
        r"structure 'stent' \(value 3\) must be in the mask of at least one training case, found it in none of 4",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_nothing_is_written(name, source, tmp_path, say):
    spoil, message = MISTAKES[name]
    spoil(source)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        prepare(Settings(source, "nnunet", tmp_path / "out", quality=False))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()
    say("Masks", f"layout `nnunet`: {name}", raised.value)


def test_classes_without_a_table_are_refused_and_regions_take_given_names(source, tmp_path):
    with pytest.raises(ValueError, match=r"--classes is about classes, found no case that has one; pass --labels"):
        prepare(Settings(source, "nnunet", tmp_path / "out", classes=["no", "yes"]))
    described(labels={"background": 0, "whole": [1, 2], "lesion": 2})(source)
    file = prepare(Settings(source, "nnunet", tmp_path / "out", structures=["rim", "core"], quality=False))
    assert read_cases(file, ["T2"], [], labels=False).structures == ["rim", "core"]
