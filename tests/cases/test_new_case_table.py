# SPDX-License-Identifier: Apache-2.0
"""The clinical table of new cases: what a model reads comes in its units and categories, or is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.cases.new_table import lacking, with_clinical_table
from scripts.cases.read import read_unlabelled

COLUMNS = [
    {"name": "age", "kind": "number", "unit": "years"},
    {"name": "PSA level", "kind": "number", "unit": "ng/mL"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "spread", "kind": "category", "values": ["NA", "no", "yes"]},
]


def items(*cases: str, **given) -> list[dict]:
    return [{"case": case, "patient": case, "image": {}, "clinical": dict(given)} for case in cases]


def joined(folder: Path, text: str, *cases: str, **given) -> tuple[dict[str, dict], list[str]]:
    (folder / "new.csv").write_text(text, encoding="utf-8")
    found, notes = with_clinical_table(items(*cases, **given), folder / "new.csv", COLUMNS)
    return {item["case"]: item["clinical"] for item in found}, notes


def test_columns_and_cases_are_found_however_they_are_spelt(tmp_path):
    text = "Subject;AGE;psa_level [ng/ml];Sex;spread;remark\n1;61;4,5 ng/mL;m;NA;x\n2;?;<0,1;F;YES;y\n"
    values, notes = joined(tmp_path, text, "001", "2", "003")
    assert values == {
        "001": {"age": 61.0, "PSA level": 4.5, "sex": "M", "spread": "NA"},
        "2": {"PSA level": 0.1, "sex": "F", "spread": "yes"},
        "003": {},
    }
    for line in (
        "names that the clinical table spells differently (there, and here): 1 and 001",
        "cases without a row in the clinical table: 003",
        "age of the clinical table has no unit and is taken to be in years",
        "PSA level: limits are taken as the value: <0,1 (2)",
        "sex: 'm' is 'M'",
        "columns of the clinical table that the model does not read: remark",
    ):
        assert line in notes


def test_a_misspelt_column_is_asked_for(tmp_path):
    _, notes = joined(tmp_path, "case,age,Sexx [1],stage\na,61,M,3\n", "a")
    assert [line for line in notes if "lacks" in line] == [
        "the clinical table has 'Sexx' and lacks 'sex': rename the column if it is the same"
    ]


WRONG = {
    "no number": ("case,age\na,61\nb,old\n", r"'age' must be numbers, found 'old' \(case b\); correct these cells"),
    "other unit": ("case,age [months]\na,600\n", r"'age' must be in 'years', the unit of the model, found 'months'"),
    "unit in a cell": ("case,PSA level\na,4 mmol/l\n", r"must be in 'ng/mL', the unit of the model, found 'mmol/l'"),
    "new category": ("case,sex\na,F\nb,diverse\n", r"'sex' must be one of \[F, M\], found 'diverse' \(case b\)"),
    "no column": ("case,size\na,4\n", r"at least one of the model's columns \[age, PSA level, sex, spread\], found"),
    "no case": ("case,age\nx,4\n", r"must have a row for at least one case, found x where the cases are 'a'"),
    "no key": ("name,age\na,4\n", r"must have a column 'case' or 'patient'"),
    "two columns": (
        "case,Sex,SEX\na,F,F\n",
        r"must have columns of different names, .*'Sex' .row 1, column 2. and 'SEX'",
    ),
    "case twice": ("case,age\na,4\na,5\n", r"case a must have one row"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_model_cannot_read_is_one_line(name, tmp_path):
    text, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as error:
        joined(tmp_path, text, "a", "b")
    assert "\n" not in str(error.value)
    assert "new.csv" in str(error.value)


def test_a_value_comes_from_one_place(tmp_path):
    with pytest.raises(ValueError, match=r"case a: clinical value 'age' must come from one place"):
        joined(tmp_path, "case,age\na,61\n", "a", age=60.0)
    assert joined(tmp_path, "case,sex\na,F\n", "a", age=60.0)[0] == {"a": {"age": 60.0, "sex": "F"}}


def test_a_model_without_a_table_takes_none(tmp_path):
    with pytest.raises(ValueError, match=r"--clinical_table .* found none; leave it out"):
        with_clinical_table(items("a"), tmp_path / "new.csv", [])
    with pytest.raises(FileNotFoundError, match=r"new.csv does not exist; correct --clinical_table"):
        with_clinical_table(items("a"), tmp_path / "new.csv", COLUMNS)


def test_what_cases_lack_is_named():
    assert lacking(items("a", "b", age=1.0, sex="F"), [COLUMNS[0], COLUMNS[2]], "x") == ""
    assert "the clinical columns [age (years), sex], and x gives none of them: all 2 cases" in lacking(
        items("a", "b"), [COLUMNS[0], COLUMNS[2]], "x"
    )
    some = [*items("a", age=1.0), *items("b", age=2.0, sex="F"), *items("c")]
    assert lacking(some, COLUMNS[:3], "x").endswith("predicted without: age: c; PSA level in all 3 cases; sex: a, c")


def test_a_dataset_that_lacks_columns_says_so(document, write, capsys):
    document["test"][0]["clinical"] = {"age": 61}
    folder = write(document)
    read_unlabelled(folder, ["pre"], [*document["clinical"], {"name": "psa", "kind": "number"}])
    printed = capsys.readouterr().out
    assert printed == (
        "warning: clinical values that the model reads are missing, and are predicted without: "
        "age: a, b, c, d; sex in all 5 cases; psa in all 5 cases\n"
    )
