# SPDX-License-Identifier: Apache-2.0
"""Layout `picai`: the real marksheet and real .mha files of a ProstateX patient; nothing leaks the answer."""

from __future__ import annotations

import csv
import json
import os

import pytest
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

PHASES = ["t2w", "adc", "hbv", "cor", "sag"]
CLINICAL = ["patient_age", "psa", "psad", "prostate_volume"]


def link(source, target) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(source, target)


@pytest.mark.slow
def test_the_real_marksheet_with_real_volumes(test_data, tmp_path):
    """The volumes of one patient stand for those of 21, three of whom have two studies each."""
    sheet = test_data("picai_anatomy_clinical") / "marksheet.csv"
    with sheet.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    twice = [row for row in rows if sum(other["patient_id"] == row["patient_id"] for other in rows) == 2][:6]
    chosen = {row["study_id"]: row for row in [*twice, *rows[:18]]}
    volumes = test_data("prostatex_dicom") / "mha_ProstateX-0000"
    for row in chosen.values():
        for phase in PHASES[: 3 if row["study_id"] == rows[0]["study_id"] else 5]:
            name = f"{row['patient_id']}_{row['study_id']}_{phase}.mha"
            link(
                volumes / f"ProstateX-0000_07-07-2011_{phase}.mha", tmp_path / "images/fold0" / row["patient_id"] / name
            )
    file = prepare(
        Settings(tmp_path / "images", "picai", tmp_path / "out", labels=sheet, allow_identical=True, quality=False)
    )
    cases = read_cases(file, PHASES, ["no", "yes"], CLINICAL)
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert len(items) == len(chosen)
    for row in chosen.values():
        item = items[f"{row['patient_id']}_{row['study_id']}"]
        assert (item["label"], item["site"]) == (int(row["case_csPCa"] == "YES"), row["center"])
        assert item["clinical"].get("psad") == (float(row["psad"]) if row["psad"] else None)
        assert item["patient"] == row["patient_id"]
    splits = {}
    for item in items.values():
        splits.setdefault(item["patient"], set()).add(item["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert len(items) > len(splits)
    assert list(items[f"{rows[0]['patient_id']}_{rows[0]['study_id']}"]["image"]) == PHASES[:3]
    content = json.loads(file.read_text())
    assert [column["name"] for column in content["clinical"]] == CLINICAL
    assert content["clinical"][1] == {"name": "psa", "kind": "number", "unit": "ng/mL"}
    for leak in ("lesion", "ISUP", "histopath", "MRBx"):
        assert leak not in file.read_text()


SHEET = "patient_id,study_id,patient_age,psa,psad,prostate_volume"
SHEET += ",histopath_type,lesion_GS,case_ISUP,case_csPCa,center"


def test_mistakes_are_one_line(save_volume, tmp_path):
    source = tmp_path / "images"
    save_volume(source / "1/1_7_t2w.mha")
    with pytest.raises(FileNotFoundError, match=r"marksheet .* does not exist; pass it as --labels"):
        prepare(Settings(source, "picai", tmp_path / "out"))
    (source / "marksheet.csv").write_text(f"{SHEET}\n9,7,60,1,1,1,a,b,1,YES,RUMC")
    with pytest.raises(ValueError, match=r"must name the files of .*found e.g. '9_7' for '1_7'"):
        prepare(Settings(source, "picai", tmp_path / "out"))
    for column in ("lesion_GS", "case_ISUP", "histopath_type", "lesion_PIRADS"):
        with pytest.raises(ValueError, match=rf"clinical column '{column}' must be known before the biopsy"):
            prepare(Settings(source, "picai", tmp_path / "out", clinical=["psa", column]))
    save_volume(source / "2/1_7_t2w.mha")
    with pytest.raises(ValueError, match=r"case 1_7: phase 't2w' must be one file"):
        prepare(Settings(source, "picai", tmp_path / "out"))
    (source / "marksheet.csv").write_text("patient_id,study_id\n1,7")
    with pytest.raises(ValueError, match=r"must have a column 'case_csPCa'"):
        prepare(Settings(source, "picai", tmp_path / "out"))
