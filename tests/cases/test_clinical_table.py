# SPDX-License-Identifier: Apache-2.0
"""A clinical table for any layout: joined by case, else by patient, or refused in one line."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from pathlib import Path

import pytest
from scripts.cases.read import read_cases
from workbench.prepare.clinical_table import join_clinical_table
from workbench.prepare.layouts import Found
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

from tests.prepare.test_layouts import CLASSES, PHASES, make_acdc_patient

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements-excel.txt"


def found(**patients: str) -> Found:
    """Return cases by name, each of the given patient, or of none where it is empty."""
    cases = [
        {"case": case, "image": {"pre": f"{case}.nii.gz"}, "label": "low"} | ({"patient": patient} if patient else {})
        for case, patient in patients.items()
    ]
    return Found("toy", ["pre"], cases)


def write(folder: Path, text: str, name: str = "clinical.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def values(joined: Found) -> dict[str, dict]:
    return {case["case"]: case["clinical"] for case in joined.cases}


def test_a_case_takes_its_own_row_else_that_of_its_patient(tmp_path):
    text = "case,Patient ID,age [years],sex\na,P,61,F\n,P,62,M\n,Q,,F\nz,,99,M\n,Z,98,F\n"
    joined = join_clinical_table(found(a="P", b="P", q="Q", r="R"), write(tmp_path, text))
    assert values(joined) == {
        "a": {"age": 61.0, "sex": "F"},
        "b": {"age": 62.0, "sex": "M"},
        "q": {"sex": "F"},
        "r": {},
    }
    assert joined.clinical[0] == {"name": "age", "kind": "number", "unit": "years"}
    assert joined.notes == [
        "rows of the clinical table without a case, left out: z, Z",
        "cases without a row in the clinical table: r",
    ]


def test_a_table_by_patient_serves_cases_that_are_their_own_patients(tmp_path):
    joined = join_clinical_table(found(a="", b=""), write(tmp_path, "patient;psa\nb;4.5\na;7\n"))
    assert values(joined) == {"a": {"psa": 7.0}, "b": {"psa": 4.5}}


def test_labels_and_free_text_are_no_measurements_and_columns_can_be_chosen(tmp_path):
    rows = "\n".join(f"c{n},low,A,{n},{n % 3},seen on day {n}" for n in range(14))
    file = write(tmp_path, f"case,label,site,age,grade,remark\n{rows}")
    cases = found(**{f"c{n}": "" for n in range(14)})
    joined = join_clinical_table(cases, file)
    assert [column["name"] for column in joined.clinical] == ["age", "grade"]
    assert "not taken (free text, empty, or no measurement): label, site, remark" in joined.notes[0]
    assert values(join_clinical_table(cases, file, ["grade"]))["c4"] == {"grade": 1.0}
    assert join_clinical_table(cases, file, []).clinical == []


MISTAKES = {
    "no key": ("name,age\na,1", r"must have a column 'case' or 'patient', found \[name, age\]"),
    "two keys": ("case,Case ID,age\na,a,1", r"must have one column for the case, found case, Case ID"),
    "case twice": ("case,age\na,1\na,2", r"case a must have one row in clinical table .*, found two; remove one$"),
    "patient twice": ("patient,age\nP,1\nP,2", r"patient P must have one row .*or name the case of each"),
    "other patient": ("case,patient,age\na,Q,1", r"case a must be of one patient, found 'P' .* and 'Q' in"),
    "nothing matches": ("case,age\nx1,1\nx2,2", r"at least one case, found x1, x2 where the cases are 'a'"),
    "column twice": (
        "case,age,age\na,1,2",
        r"columns of different names, .*'age' .row 1, column 2. and 'age' .column 3",
    ),
    "same name, two units": ("case,age [y],age [m]\na,1,12", r"column 'age' must come from one place"),
    "row too long": ("case,age\na,1,2", r"row 2 must have 2 cells, found 3"),
    "empty": ("", r"must have a column 'case' or 'patient', found \[\]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_joined_is_one_clear_line(name, tmp_path):
    text, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message) as error:
        join_clinical_table(found(a="P", b="P"), write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_wanted_column_that_is_not_there_is_named_with_the_nearest(tmp_path):
    file = write(tmp_path, "case,age\na,1")
    with pytest.raises(ValueError, match=r"'agee' is not among \[age\] \(nearest: 'age'\)"):
        join_clinical_table(found(a=""), file, ["agee"])
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv does not exist; correct --clinical_table"):
        join_clinical_table(found(a=""), tmp_path / "nowhere.csv")


def test_every_layout_takes_a_table_beside_its_own_columns(tmp_path, capsys):
    for number in range(15):
        make_acdc_patient(tmp_path / "in", number + 1, CLASSES[number // 3])
    rows = "\n".join(f"patient{n + 1:03d},{50 + n}" for n in range(15))
    table = write(tmp_path, f"patient,heart rate [1/min]\n{rows}\npatient099,70\n")
    file = prepare(Settings(tmp_path / "in", "acdc", tmp_path / "out", clinical_table=table))
    cases = read_cases(file, PHASES, CLASSES, ["height", "heart rate"])
    items = {item["case"]: item for item in [*cases.training, *cases.validation, *cases.test]}
    assert items["patient004"]["clinical"] == {"height": 184.0, "heart rate": 53.0}
    assert "note: rows of the clinical table without a case, left out: patient099" in capsys.readouterr().out
    table = write(tmp_path, f"patient,height\n{rows}\n")
    with pytest.raises(ValueError, match=r"column 'height' must come from one place"):
        prepare(Settings(tmp_path / "in", "acdc", tmp_path / "out2", clinical_table=table))
    assert not (tmp_path / "out2" / "dataset.json").exists()


def test_an_excel_file_is_read_like_its_csv(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason=f"no openpyxl; pip install -r {REQUIREMENTS.name}")
    book = openpyxl.Workbook()
    sheet = book.active
    day = datetime.datetime(2024, 1, 31)
    for row in (["Patient", "age [years]", "sex", "seen"], [17, 61.0, " F ", day], ["P2", 47.5, None, None]):
        sheet.append(row)
    sheet.cell(9, 9).value = "  "
    book.create_sheet("other").append(["case", "nonsense"])
    book.save(tmp_path / "clinical.xlsx")
    text = "Patient,age [years],sex,seen\n17,61,F,2024-01-31\nP2,47.5,,\n"
    cases = found(a="17", b="P2")
    excel, plain = (join_clinical_table(cases, file) for file in (tmp_path / "clinical.xlsx", write(tmp_path, text)))
    assert excel.notes[0].endswith("clinical.xlsx: sheet 'Sheet' was read, of 2 sheets")
    assert dataclasses.replace(excel, notes=excel.notes[1:]) == plain
    assert values(excel)["a"] == {"age": 61.0, "sex": "F"}
    assert any(line.endswith(": seen (dates)") for line in excel.notes)


def test_excel_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ValueError, match=r"needs the package openpyxl: `pip install -r requirements-excel.txt`"):
        join_clinical_table(found(a=""), write(tmp_path, "no workbook", "clinical.xlsx"))
    assert REQUIREMENTS.is_file()


def test_a_damaged_excel_file_is_named(tmp_path):
    pytest.importorskip("openpyxl", reason=f"no openpyxl; pip install -r {REQUIREMENTS.name}")
    with pytest.raises(ValueError, match=r"clinical.xlsx cannot be read as an Excel file \(BadZipFile"):
        join_clinical_table(found(a=""), write(tmp_path, "no workbook", "clinical.xlsx"))
