# SPDX-License-Identifier: Apache-2.0
"""A user's own folder of cases with a label file, from the command to a dataset.json that reads back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from monai.bundle import run
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

CLASSES = ["benign", "malignant"]
Write = Callable[..., Path]


def save(path: Path, spacing: tuple[float, float, float] = (0.7, 0.8, 2.5), mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.random.default_rng(list(str(path).encode())).normal(size=(40, 40, 12)).astype(np.float32)
    if mask:
        voxels = np.zeros((40, 40, 12), np.float32)
        voxels[10:30, 12:28, 3:9] = 1
    # The first axis runs to the back, the second to the right.
    affine = np.array([[0, spacing[1], 0, 5], [-spacing[0], 0, 0, 9], [0, 0, spacing[2], 0], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Ten patients, two phases (one is missing once), a lesion mask; a table with a unit and a free text."""
    rows = ["case;label;site;age [years];sex;remarks"]
    for number in range(10):
        case = f"p{number:02d}"
        save(tmp_path / "images" / case / "pre.nii.gz")
        if number != 3:
            save(tmp_path / "images" / case / "portal.nii.gz")
        save(tmp_path / "images" / case / "lesion.nii.gz", mask=True)
        age = "" if number == 4 else str(40 + number)
        rows.append(f"{case};{CLASSES[number % 2]};A;{age};{'FM'[number % 2]};seen on day {number}, twice")
    rows += ["p98;benign;A;50;F;never scanned", ""]
    for number in range(13):
        rows.insert(1, f"x{number};benign;A;50;F;remark {number}")
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    return tmp_path


def test_the_command_makes_a_dataset_that_reads_back(cohort, capsys):
    settings = {"source": str(cohort / "images"), "labels": str(cohort / "labels.csv"), "output": str(cohort / "out")}
    run(run_id="preparing", config_file="configs/prepare.yaml", logging_file=False, layout="folders", **settings)
    printed = capsys.readouterr().out
    overlay = yaml.safe_load((cohort / "out/data.yaml").read_text(encoding="utf-8"))
    cases = read_cases(overlay["dataset_dir"], overlay["phases"], overlay["classes"], overlay["clinical"])

    assert [len(split) for split in (cases.training, cases.validation, cases.test)] == [6, 2, 2]
    assert cases.class_counts == [3, 3]
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert items["p01"]["clinical"] == {"age": 41.0, "sex": "M"}
    assert items["p04"]["clinical"] == {"sex": "F"}
    assert (items["p01"]["label"], items["p01"]["site"]) == (1, "A")
    assert list(items["p03"]["image"]) == ["pre"]
    assert overlay["reference_phase"] == "pre"
    assert overlay["clinical"][0] == {"name": "age", "kind": "number", "unit": "years"}
    assert overlay["region"] == {
        "_target_": "scripts.transforms.MaskRegiond",
        "keys": "image",
        "margin": 10.0,
        "component": "largest",
    }
    assert overlay["spacing"] == [0.8, 0.7, 2.5]  # along R, A, S, not along the axes of the file
    # mask of 16 x 20 x 6 voxels along R, A, S, 10 mm on each side: 32.8, 34 and 35 mm
    assert overlay["grid_size"] == [44, 52, 16]

    assert "portal        9        1" in printed
    assert "rows of the label file without a folder, left out: p98, x0" in printed
    assert "columns of the label file not taken: remarks" in printed
    assert "run training --config_file \"['configs/train.yaml','" in printed


def test_images_below_the_output_folder_get_relative_paths(cohort):
    prepare(Settings(cohort / "images", "folders", cohort, labels=cohort / "labels.csv"))
    text = (cohort / "dataset.json").read_text()
    assert '"images/p00/pre.nii.gz"' in text
    assert str(cohort) not in text


def test_phases_classes_and_columns_can_be_chosen(cohort):
    file = prepare(
        Settings(
            cohort / "images",
            "folders",
            cohort / "out",
            labels=cohort / "labels.csv",
            phases=["portal"],
            classes=CLASSES[::-1],
            clinical=["age"],
        )
    )
    cases = read_cases(file, ["portal"], CLASSES[::-1], ["age"])
    assert "p03" not in {item["case"] for item in [*cases.training, *cases.validation, *cases.test]}
    assert '"sex"' not in file.read_text()


def test_a_folder_without_a_row_is_kept_as_unlabelled(cohort):
    save(cohort / "images/new/pre.nii.gz")
    save(cohort / "images/new/lesion.nii.gz", mask=True)
    file = prepare(Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "labels.csv"))
    assert [item["case"] for item in read_cases(file, ["pre"], CLASSES).unlabelled] == ["new"]


def test_a_split_column_is_kept_and_checked(cohort):
    rows = ["case,label,patient,split"]
    for number, split in enumerate(["training"] * 6 + ["validation"] * 2 + ["test"] * 2):
        rows.append(f"p{number:02d},{CLASSES[number % 2]},,{split}")
    (cohort / "split.csv").write_text("\n".join(rows))
    file = prepare(Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "split.csv"))
    assert {item["case"] for item in read_cases(file, ["pre"], CLASSES).test} == {"p08", "p09"}

    same_patient = "\n".join(rows).replace("p00,benign,", "p00,benign,P").replace("p08,benign,", "p08,benign,P")
    (cohort / "split.csv").write_text(same_patient)
    with pytest.raises(ValueError, match=r"patient P must be in one split.*out2/dataset.json \(not"):
        prepare(Settings(cohort / "images", "folders", cohort / "out2", labels=cohort / "split.csv"))
    assert not (cohort / "out2").exists()


def test_a_misspelt_file_is_pointed_out(cohort, capsys):
    folder = cohort / "images/p05"
    (folder / "portal.nii.gz").rename(folder / "portla.nii.gz")
    prepare(Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "labels.csv"))
    assert "never in the same case: portla (1 cases) and portal (8 cases)" in capsys.readouterr().out


MISTAKES = {
    "no label file": ({"labels": None}, r"needs a label file; pass --labels"),
    "label file missing": ({"labels": "nowhere.csv"}, r"label file .*nowhere.csv does not exist"),
    "source missing": ({"source": "nowhere"}, r"source folder .*nowhere does not exist"),
    "file as source": ({"source": "labels.csv"}, r"must be the folder of the images, found the file .*labels.csv"),
    "no source": ({"source": None}, r"source must be given.*--source"),
    "no images": ({"source": "."}, r"must hold one folder per case"),
    "unknown phase": ({"phases": ["pre", "portl"]}, r"phase 'portl' must be a file in .*nearest: 'portal'"),
    "unknown reference": ({"reference_phase": "por"}, r"reference phase 'por' is not among the phases \[portal, pre\]"),
    "unknown column": ({"clinical": ["agee"]}, r"clinical column 'agee' is not among .*nearest: 'age"),
    "free text": ({"clinical": ["remarks"]}, r"clinical column 'remarks' must be numbers or few"),
    "class left out": ({"classes": ["benign", "malign"]}, r"label 'malignant' is not among"),
    "two fractions": ({"fractions": [0.8, 0.2]}, r"fractions must be three numbers"),
    "file as output": ({"output": "labels.csv"}, r"output folder .*labels.csv cannot be written"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_nothing_is_written(name, cohort, monkeypatch):
    monkeypatch.chdir(cohort)
    changed, message = MISTAKES[name]
    arguments = {"source": "images", "layout": "folders", "output": "out", "labels": "labels.csv"} | changed
    with pytest.raises((ValueError, OSError), match=message) as raised:
        prepare(Settings(**arguments))
    assert "\n" not in str(raised.value)
    assert not (cohort / "out/dataset.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\np00,benign", r"must have a column 'case', found \[name, label\]"),
        ("case,label\np00,benign,x", r"row 2 must have 2 cells, found 3"),
        ("case,label\np00,benign\np00,benign", r"case p00 must have one row .* found two"),
        ("case,label,split\np00,benign,train", r"case p00: split 'train' is not among .*nearest: 'training'"),
        ("case,label\n,benign", r"must name a case in each row"),
        ("case,label\nq00,benign", r"must name the folders of .*found e.g. 'q00' for the folder 'p00'"),
        ("", r"must have a column 'case'"),
    ],
)
def test_a_wrong_label_file(text, message, cohort):
    (cohort / "wrong.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        prepare(Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "wrong.csv"))


def test_an_unreadable_volume_is_named(cohort):
    file = cohort / "images/p02/portal.nii.gz"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"case p02: phase 'portal'.*portal.nii.gz"):
        prepare(Settings(cohort / "images", "folders", cohort / "out", labels=cohort / "labels.csv", phases=["portal"]))


def test_a_dataset_is_replaced_only_when_asked(cohort):
    arguments = {"source": cohort / "images", "layout": "folders", "output": cohort / "out"}
    arguments |= {"labels": cohort / "labels.csv"}
    before = prepare(Settings(**arguments)).read_text()
    with pytest.raises(ValueError, match=r"exists already and would be replaced; pass --overwrite True"):
        prepare(Settings(**arguments, seed=1))
    assert (cohort / "out/dataset.json").read_text() == before
    assert prepare(Settings(**arguments, seed=1, overwrite=True)).read_text() != before


def test_preparing_that_was_stopped_behind_its_dataset_goes_on_unasked(cohort, monkeypatch):
    arguments = {"source": cohort / "images", "layout": "folders", "labels": cohort / "labels.csv"}

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(prepare.__globals__, "write_text", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(Settings(**arguments, output=cohort / "out"))
    assert sorted(path.name for path in (cohort / "out").iterdir()) == [".run", "dataset.json"]
    prepare(Settings(**arguments, output=cohort / "out"))
    assert (cohort / "out" / "data.yaml").exists()
    with pytest.raises(ValueError, match="exists already and would be replaced"):
        prepare(Settings(**arguments, output=cohort / "out"))


def test_the_positive_class_is_one_of_two_in_any_letter_case(cohort, capsys):
    """It stands in dataset.json and data.yaml; the classes keep their order; another name writes nothing."""
    given = {"source": cohort / "images", "labels": cohort / "labels.csv", "layout": "folders", "quality": False}
    with pytest.raises(ValueError, match=r"`positive` must be one of the classes .*nearest: 'benign'.*found 'bening'"):
        prepare(Settings(**given, output=cohort / "out", positive="bening"))
    assert not (cohort / "out" / "dataset.json").exists()
    prepare(Settings(**given, output=cohort / "out", positive="Benign"))
    found = json.loads((cohort / "out" / "dataset.json").read_text())
    assert (found["positive"], found["classes"]) == ("benign", CLASSES)
    assert yaml.safe_load((cohort / "out" / "data.yaml").read_text())["positive"] == "benign"
    assert "assumed" not in capsys.readouterr().out
    prepare(Settings(**given, output=cohort / "assumed"))
    assert "positive class: malignant, assumed as the last of `classes`" in capsys.readouterr().out
    assert yaml.safe_load((cohort / "assumed" / "data.yaml").read_text())["positive"] == "malignant"
