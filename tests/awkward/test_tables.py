# SPDX-License-Identifier: Apache-2.0
"""Label files and clinical tables as hospitals write them: decimal commas, NA, accents, wrong paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def prepared(folder: Path, output: Path, **given) -> tuple[dict[str, dict], list[dict]]:
    """Return the cases of a dataset by name and its clinical columns, or raise what preparing says."""
    chosen = {"source": folder / "data", "layout": "folders", "labels": folder / "labels.csv"} | given
    file = prepare(Settings(output=output, workers=1, quality=False, **chosen))
    content = json.loads(file.read_text(encoding="utf-8"))
    splits = ("training", "validation", "test", "unlabelled")
    return {case["case"]: case for split in splits for case in content.get(split, [])}, content["clinical"]


def test_decimal_commas_are_numbers(awkward, tmp_path):
    cases, columns = prepared(awkward("10"), tmp_path)
    assert [(column["name"], column["kind"]) for column in columns] == [
        ("age", "number"), ("afp", "number"), ("bilirubin", "number"),
    ]  # fmt: skip
    assert [cases[f"p{n:03d}"]["clinical"]["bilirubin"] for n in range(16)] == [1.0, 1.5, 2.0, 2.5] * 4


def test_a_code_for_missing_is_a_missing_value_and_the_column_stays(awkward, tmp_path, capsys):
    cases, (age, _) = prepared(awkward("11"), tmp_path)
    assert age == {"name": "age", "kind": "number", "unit": "years"}
    assert "age" not in cases["p003"]["clinical"]
    assert cases["p004"]["clinical"]["age"] == 48.0
    assert "note: age: 'NA' (1) counts as missing" in capsys.readouterr().out


def test_composed_and_decomposed_accents_are_one_name(awkward, tmp_path):
    cases, _ = prepared(awkward("12"), tmp_path)
    assert sum("label" in case for case in cases.values()) == 16
    assert cases["M\u00fcller 003"]["label"] == "b"


def test_a_column_of_paths_is_never_clinical(awkward, tmp_path):
    """Whether or not .mgz can be read: the file is an image of its case, or it is named."""
    given = {"source": awkward("6") / "cases.csv", "layout": "table", "labels": None}
    try:
        cases, columns = prepared(awkward("6"), tmp_path, **given)
    except ValueError as error:
        line = str(error)
    else:
        assert columns == []
        line = f"case p004: {cases['p004']['image']['arterial']}"
    assert "case p004" in line
    assert "data/p004/arterial.mgz" in line


@pytest.mark.parametrize("code", ["N/A", "n/a", "nan", "-", ".", "?", "", "unknown"])
def test_other_codes_for_missing(code, awkward, tmp_path):
    from workbench.prepare.labels import read_label_table

    text = (awkward("11") / "labels.csv").read_text()
    file = tmp_path / "labels.csv"
    file.write_text(text.replace(",NA,", f",{code},"))
    table = read_label_table(file)
    assert [column["kind"] for column in table.clinical] == ["number", "number"]
    assert "age" not in table.rows["p003"]["clinical"]
