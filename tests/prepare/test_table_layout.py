# SPDX-License-Identifier: Apache-2.0
"""Layout `table`: one CSV file that names everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.cases.read import read_cases
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


@pytest.fixture
def table(save_volume, tmp_path) -> Path:
    rows = ["case;label;patient;site;age [years];roi;early;late;remark"]
    for number in range(10):
        save_volume(tmp_path / f"scans/{number}_e.nii.gz")
        save_volume(tmp_path / f"other/{number}_l.mha")
        late = "" if number == 3 else str(tmp_path / f"other/{number}_l.mha")
        early = f"scans/{number}_e.nii.gz"
        rows.append(f"c{number};{'ab'[number % 2]};;S;{50 + number};{early};{early};{late};x{number}")
    for number in range(3):  # more remarks than a category may have
        save_volume(tmp_path / f"scans/u{number}.nii.gz")
        rows.append(f"u{number};;;S;;;scans/u{number}.nii.gz;;y{number}")
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    return tmp_path


def test_paths_labels_and_clinical_values_come_from_one_file(table):
    file = prepare(Settings(table / "cases.csv", "table", table / "out", without_mask="whole_volume"))
    cases = read_cases(file, ["early", "late"], ["a", "b"], ["age"])
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert items["c1"]["image"] == {"early": str(table / "scans/1_e.nii.gz"), "late": str(table / "other/1_l.mha")}
    assert list(items["c3"]["image"]) == ["early"]
    assert items["c1"]["roi"] == str(table / "scans/1_e.nii.gz")
    assert (items["c1"]["label"], items["c1"]["clinical"], items["c1"]["site"]) == (1, {"age": 51.0}, "S")
    assert [item["case"] for item in cases.unlabelled] == ["u0", "u1", "u2"]
    assert '"remark"' not in file.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("scans/1_e", "scans/99_e"), r"case c1: phase 'early'.* must exist.*99_e.nii.gz"),
        (
            lambda text: text.replace("/", "-").replace(".nii.gz", "").replace(".mha", ""),
            r"must have a column with paths.*add one. A table without any image cannot be trained on here",
        ),
        (lambda text: text.replace("case;", "name;", 1), r"must have a column 'case'"),
        (lambda text: text + "\nc1;a;;S;;;scans/1_e.nii.gz;;", r"case c1 must have one row"),
    ],
    ids=["missing file", "no paths", "no case column", "case twice"],
)
def test_a_wrong_table_is_one_line(change, message, table):
    file = table / "cases.csv"
    file.write_text(change(file.read_text()))
    with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
        prepare(Settings(file, "table", table / "out"))
    _, *rest = str(raised.value).splitlines()
    assert all(line.lstrip().startswith("case c1: ") for line in rest), "one line for each file that cannot be read"
    assert len(rest) == (2 if "99_e" in file.read_text() else 0), "an image and a mask"
    assert not (table / "out/dataset.json").exists()


def test_a_folder_or_a_second_label_file_is_refused(table):
    with pytest.raises(ValueError, match=r"needs a CSV file, found the folder"):
        prepare(Settings(table, "table", table / "out"))
    with pytest.raises(ValueError, match=r"leave --labels out"):
        prepare(Settings(table / "cases.csv", "table", table / "out", labels=table / "cases.csv"))
