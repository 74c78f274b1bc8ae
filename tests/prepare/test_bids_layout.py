# SPDX-License-Identifier: Apache-2.0
"""Layout `bids`: subjects, sessions and entities as the specification writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


@pytest.fixture
def bids(save_volume, tmp_path) -> Path:
    root = tmp_path / "study"
    rows = ["participant_id\tage\tsex\tgroup"]
    for number in range(9):
        subject = f"sub-{number:02d}"
        for session in ("ses-1", "ses-2") if number == 8 else ("",):
            folder = root / subject / session / "anat"
            case = "_".join(filter(None, [subject, session]))
            save_volume(folder / f"{case}_T2w.nii.gz")
            save_volume(folder / f"{case}_acq-vibe_ce-gd_run-1_T1w.nii.gz")
            (folder / f"{case}_T2w.json").write_text("{}")
            save_volume(root / "derivatives/manual" / subject / session / "anat" / f"{case}_label-lesion_mask.nii.gz")
        age, group = "n/a" if number == 2 else 40 + number, ["control", "patient"][number % 2]
        rows.append(f"{subject}\t{age}\t{'FM'[number % 2]}\t{group}")
    rows.append("sub-99\t50\tF\tcontrol")
    (root / "participants.tsv").write_text("\n".join(rows))
    (root / "dataset_description.json").write_text("{}")
    return root


def items_of(file: Path, phases: list[str]) -> dict[str, dict]:
    cases = read_cases(file, phases, ["control", "patient"], ["age"])
    return {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}


def test_one_case_per_session_with_labels_of_the_participants(bids, tmp_path, capsys):
    items = items_of(prepare(Settings(bids, "bids", tmp_path / "out")), ["acq-vibe_ce-gd_run-1_T1w", "T2w"])
    assert len(items) == 10
    first, second = items["sub-08_ses-1"], items["sub-08_ses-2"]
    assert first["image"]["T2w"] == str(bids / "sub-08/ses-1/anat/sub-08_ses-1_T2w.nii.gz")
    assert first["roi"].endswith("derivatives/manual/sub-08/ses-1/anat/sub-08_ses-1_label-lesion_mask.nii.gz")
    assert (first["patient"], first["split"]) == (second["patient"], second["split"]) == ("sub-08", first["split"])
    assert items["sub-02"]["clinical"] == {}  # n/a is missing, not a category
    assert (items["sub-03"]["label"], items["sub-03"]["clinical"]) == (1, {"age": 43.0})
    assert "rows of the table of labels without an image, left out: sub-99" in capsys.readouterr().out


def test_patterns_name_the_phases(bids, tmp_path, capsys):
    file = prepare(Settings(bids, "bids", tmp_path / "out", phase_names={"gd": ["*ce-gd*_T1w"]}))
    assert items_of(file, ["gd"])["sub-03"]["image"] == {
        "gd": str(bids / "sub-03/anat/sub-03_acq-vibe_ce-gd_run-1_T1w.nii.gz")
    }
    assert "images that are no phase, left out: T2w" in capsys.readouterr().out


def test_labels_by_session(bids, tmp_path):
    rows = ["case,label", *(f"sub-{n:02d},{['control', 'patient'][n % 2]}" for n in range(8))]
    (tmp_path / "l.csv").write_text("\n".join([*rows, "sub-08_ses-2,patient"]))
    cases = read_cases(
        prepare(Settings(bids, "bids", tmp_path / "out", labels=tmp_path / "l.csv")), ["T2w"], ["control", "patient"]
    )
    assert [item["case"] for item in cases.unlabelled] == ["sub-08_ses-1"]


def test_mistakes_are_one_line(bids, save_volume, tmp_path):
    save_volume(bids / "sub-00/anat/sub-00_run-2_T2w.nii.gz")
    with pytest.raises(ValueError, match=r"phase 't1' must be one image, found sub-00_T2w.nii.gz and"):
        prepare(Settings(bids, "bids", tmp_path / "out", phase_names={"t1": ["*T2w", "t2w"]}))
    text = (bids / "participants.tsv").read_text()
    (bids / "participants.tsv").write_text(text.replace("group", "arm"))
    with pytest.raises(ValueError, match=r"column with the labels, named label, group, diagnosis, found \[.*arm\]"):
        prepare(Settings(bids, "bids", tmp_path / "out"))
    (bids / "participants.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"participants.tsv does not exist.*--labels"):
        prepare(Settings(bids, "bids", tmp_path / "out"))
    (tmp_path / "l.csv").write_text("case,label\na,b")
    with pytest.raises(ValueError, match=r"must hold sub-\*"):
        prepare(Settings(bids / "derivatives", "bids", tmp_path / "out", labels=tmp_path / "l.csv"))
