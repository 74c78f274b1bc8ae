# SPDX-License-Identifier: Apache-2.0
"""What people write into tables, and what it is read as; what can mean two things is refused or said."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from pathlib import Path

import pytest
from scripts.cases.table import match_names, read_clinical_rows
from workbench.prepare.clinical_table import join_clinical_table
from workbench.prepare.labels import LabelTable, one_spelling, read_label_table
from workbench.prepare.layouts import Found
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings


def read(folder: Path, content: str | bytes, name: str = "labels.csv", **given) -> LabelTable:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_label_table(folder / name, **given)


def column(folder: Path, *cells: str, header: str = "x", separator: str = ";") -> tuple[LabelTable, list]:
    """Return the table of a column of cells, and its values by row."""
    rows = [f"p{n}{separator}{'ab'[n % 2]}{separator}{cell}" for n, cell in enumerate(cells)]
    table = read(folder, "\n".join([separator.join(["case", "label", header]), *rows]))
    return table, [row["clinical"].get(header.split(" [")[0]) for row in table.rows.values()]


TEXT = "case;label;größe [mm];ort\np1;gut;1,5;Köln\np2;böse;2,5;Zürich\n"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_western_tables(encoding, tmp_path):
    table = read(tmp_path, TEXT.encode(encoding))
    assert table.rows["p2"] == {"label": "böse", "clinical": {"größe": 2.5, "ort": "Zürich"}}
    said = [line for line in table.notes if "read as Windows-1252, e.g. 'größe'" in line]
    assert len(said) == (encoding in ("cp1252", "latin-1"))


def test_a_table_whose_only_foreign_sign_is_a_space(tmp_path):
    table = read(tmp_path, b"case,label\np1,a\xa0\np2,b\n")
    assert table.rows["p1"]["label"] == "a"
    assert any("read as Windows-1252; if that is wrong" in line for line in table.notes)


EAST_ASIAN = {
    "gb18030": ("年龄;吸烟;B超;癫痫;男;女", "男;女;是;否"),
    "big5": ("年齡;性別;惡性;吸菸", "男;女"),
    "cp932": ("年齢;性別;はい;CT検査", "男;有;無"),
    "euc_jp": ("年齢;性別;はい", "はい"),
    "cp949": ("나이;성별;흡연;환자;양성;악성",),
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in EAST_ASIAN.items() for text in texts])
def test_encodings_of_east_asian_tables_are_told_apart_and_said(encoding, text, tmp_path):
    words = text.split(";")
    content = "case,label\n" + "\n".join(f"p{n},{word}" for n, word in enumerate(words))
    table = read(tmp_path, content.encode(encoding))
    assert [row["label"] for row in table.rows.values()] == words
    name = {"gb18030": "GB18030", "big5": "Big5", "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "cp949": "CP949"}[encoding]
    assert any(f"is not UTF-8 and was read as {name} (" in line and words[0] in line for line in table.notes)


@pytest.mark.parametrize(
    "words", ["patient’s age", "INFORMAÇÃO;ação", "AÇÕES", "Œuvre;l’état;“oui”", "kg/m²;µg/ml;37 °C;5–10", "ÓÐINN"]
)
def test_western_words_are_no_east_asian_ones(words, tmp_path):
    content = "case,label\n" + "\n".join(f"p{n},{word}" for n, word in enumerate(words.split(";")))
    table = read(tmp_path, content.encode("cp1252"))
    assert [row["label"] for row in table.rows.values()] == words.split(";")


@pytest.mark.parametrize(("text", "encoding"), [("злой", "cp1251"), ("łagodny", "cp1250")])
def test_other_alphabets_must_be_unicode(text, encoding, tmp_path):
    with pytest.raises(ValueError, match=r"labels.csv cannot be read .* line 2 .*; save it as CSV \(UTF-8\)$"):
        read(tmp_path, f"case,label\np1,{text}\np2,b\n".encode(encoding))
    assert read(tmp_path, f"case,label\np1,{text}\np2,b\n").rows["p1"]["label"] == text


@pytest.mark.parametrize(
    "text",
    [
        "case,label,age\r\np1,a,61\r\np2,b,62\r\n",
        "case;label;age\np1;a;61\np2;b;62",
        "case\tlabel\tage\rp1\ta\t61\rp2\tb\t62\r",
        "case|label|age\np1|a|61\np2|b|62",
        "sep=;\r\ncase;label;age\r\np1;a;61\r\np2;b;62\r\n",
        'case,label,age\n="p1",a,61\n"=""p2""",b,"=""62"""\n',
        'case,label,"age\n"\np1,a,"61 "\n,,\np2,b,62,,\n',
        "Case , LABEL,age\np1,a,61\np2,b,62\n",
        "case_id,Diagnosis,age\np1,a,61\np2,b,62\n",
        "ID,Class,age\np1,a,61\np2,b,62\n",
        "Patient-ID,label,age\np1,a,61\np2,b,62\n",
        "subject ID;Label;age\np1;a;61\np2;b;62\n",
    ],
)
def test_separators_line_ends_and_usual_headers(text, tmp_path):
    table = read(tmp_path, text)
    assert [(case, row["label"], row["clinical"]) for case, row in table.rows.items()] == [
        ("p1", "a", {"age": 61.0}),
        ("p2", "b", {"age": 62.0}),
    ]


def test_what_a_header_was_taken_for_is_said_and_names_are_no_measurements(tmp_path):
    table = read(tmp_path, "case,Diagnosis,MRN,Center,age\n1,a,71,X,61\n2,b,72,Y,62\n")
    assert "column 'Diagnosis' of the label file is taken for the label" in table.notes
    assert "column 'Center' of the label file is taken for the site" in table.notes
    assert (table.rows["1"]["site"], table.rows["1"]["patient"]) == ("X", "71")
    with_both = read(tmp_path, "case,ID,label,age\n1,9,a,61\n2,8,b,62\n")
    assert [one["name"] for one in with_both.clinical] == ["age"]
    assert with_both.left_out == ["ID"]
    index = read(tmp_path, ",case,label,age\n0,1,a,61\n1,2,b,62\n")
    assert [one["name"] for one in index.clinical] == ["age"]
    assert "columns of the label file without a name, not taken: number 1" in index.notes


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,grade", r"must have a column 'case', found \[name, grade\]; .*also read as case: caseid, id"),
        ("case,Case ID,label", r"one column for the case, found case, Case ID"),
        ("case,diagnosis,outcome", r"one column for the label, found diagnosis, outcome"),
        ("case,label,age,age", r"columns of different names, .*'age' .row 1, column 3. and 'age' .column 4"),
        ("case,label,age [y],age [m]", r"columns of different names, found 'age \[y\]' and 'age \[m\]'"),
    ],
)
def test_headers_that_cannot_be_told_apart(header, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, header + "\n" + ",".join("123456"[: header.count(",") + 1]))
    assert "\n" not in str(error.value)


NUMBERS = {
    "decimal comma": (["1,5", "2,25", "3"], [1.5, 2.25, 3.0]),
    "thousands and comma": (["1.234,5", "12,0", "1.000.000"], [1234.5, 12.0, 1e6]),
    "thousands and point": (["1,234.5", "12.0", "9"], [1234.5, 12.0, 9.0]),
    "swiss": (["1'234.5", "12", "9"], [1234.5, 12.0, 9.0]),
    "spaces": (["1 234,5", "12\u00a0345,0", "9"], [1234.5, 12345.0, 9.0]),
    "full width": (["１２", "3", "4"], [12.0, 3.0, 4.0]),
    "minus sign": (["\u22121,5", "-2", "3"], [-1.5, -2.0, 3.0]),
    "powers": (["1e3", "2.5E-1", "3"], [1000.0, 0.25, 3.0]),
    "limits": (["<0.5", "> 100", "3"], [0.5, 100.0, 3.0]),
    "unit": (["12 mg/dl", "13 mg/dL", "14"], [12.0, 13.0, 14.0]),
    "percent": (["45%", "50 %", "5.5%"], [45.0, 50.0, 5.5]),
    "codes": (["12", "NA", "#N/A", "#NV", "#WERT!", "#¡DIV/0!"], [12.0, *[None] * 5]),
    "semicolons tell": (["1,234", "2,345", "3,456"], [1.234, 2.345, 3.456]),
    "points": (["1.234", "2.345", "3.456"], [1.234, 2.345, 3.456]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name, tmp_path):
    cells, expected = NUMBERS[name]
    table, values = column(tmp_path, *cells)
    assert values == expected
    assert table.clinical[0]["kind"] == "number"
    unit = {"unit": "mg/dl", "percent": "%"}.get(name)
    assert table.clinical[0].get("unit") == unit


def test_what_was_assumed_of_numbers_is_said(tmp_path):
    assert "x: limits are taken as the value: <0.5 (p0), > 100 (p1)" in column(tmp_path, "<0.5", "> 100", "3")[0].notes
    assert "x: '5.400' is read as 5.4" in column(tmp_path, "5.400", "900", "11.200")[0].notes
    assert "x: '1.234,5' is read as 1234.5" in column(tmp_path, "1.234,5", "2,0", "3")[0].notes
    codes = column(tmp_path, "41", "50", "999", "45", "60", "72", "999")
    assert codes[1][2] == 999.0
    assert any(
        "warning: x: 999 (2 cases) lies far from all others and is taken as it is" in line for line in codes[0].notes
    )
    assert any("x: -9 (1 cases)" in line for line in column(tmp_path, "1", "0", "-9", "3", "2", "1")[0].notes)
    assert column(tmp_path, "41", "50", "99", "85", "60", "72", "97")[0].notes == []
    words = column(tmp_path, "m", "f", "-999", "m")[0].notes
    assert words == ["warning: x: '-999' (1) is a category of its own; if it means missing, empty these cells"]


def test_another_column_tells_what_a_comma_is(tmp_path):
    text = 'case,label,x,y\np1,a,"1,234","0,5"\np2,b,"2,345","0,7"\n'
    assert read(tmp_path, text).rows["p1"]["clinical"] == {"x": 1.234, "y": 0.5}
    text = 'case,label,x,y\np1,a,"1,234",0.5\np2,b,"2,345",0.7\n'
    assert read(tmp_path, text).rows["p1"]["clinical"] == {"x": 1234.0, "y": 0.5}


REFUSED = {
    "mixed marks": (["1,5", "2.5", "3"], r"'x' must have one way of writing numbers, found '1,5' .* and '2.5'"),
    "two units": (["12 mg/dl", "0.7 mmol/l"], r"'x' must have one unit, found '12 mg/dl' \(case p0\) and '0.7 mmol/l'"),
    "years and months": (["12 months", "1 year"], r"must have one unit"),
    "mm and cm": (["12 mm", "1.3 cm"], r"must have one unit"),
    "share and percent": (["45%", "0.5"], r"must have one unit, found '45%' \(case p0\) and '0.5' without %"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_mean_two_things_are_refused(name, tmp_path):
    cells, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as error:
        column(tmp_path, *cells)
    assert "labels.csv" in str(error.value)


def test_a_comma_that_may_be_either_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'2,345', which may be 2.345 or 2345"):
        read(tmp_path, 'case,label,x\np1,a,"1,234"\np2,b,"2,345"\n')
    with pytest.raises(ValueError, match=r"unit, found 'mmol/l' in the header and '5 mg/dl' \(case p0\)"):
        column(tmp_path, "5 mg/dl", "6", header="x [mmol/l]")


OTHERS = {
    "stages": (["1a", "2b", "3a", "1a"], ["1a", "2b", "3a", "1a"]),
    "scores": (["0", "1+", "2+", "3+"], ["0", "1+", "2+", "3+"]),
    "signs": (["+", "-", "+", "NA"], ["+", "-", "+", None]),
    "spellings": (["male", "Male", " male", "female"], ["male", "male", "male", "female"]),
    "blood pressure": (["120/80", "130/85"], ["120/80", "130/85"]),
    "none is a value": (["none", "mild", "none"], ["none", "mild", "none"]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_number_stays_a_category(name, tmp_path):
    cells, expected = OTHERS[name]
    table, values = column(tmp_path, *cells)
    assert table.clinical[0]["kind"] == "category"
    assert values == expected
    if name == "spellings":
        assert "x: 'Male' (1) and 'male' (2) are taken for one, 'male'" in table.notes


@pytest.mark.parametrize("cells", [["2x3 cm", "1x1 cm"], ["2 X 3", "4 X 4"], ["1h30", "2h15"], ["2x100 mm", "3x4 mm"]])
def test_two_numbers_in_a_cell_are_not_the_first_one(cells, tmp_path):
    assert column(tmp_path, *cells)[0].clinical[0]["kind"] == "category"


def test_dates_are_never_clinical(tmp_path):
    table, _ = column(tmp_path, "01.02.2019", "2019-03-01 10:00", "n/a", "1/2/19")
    assert (table.clinical, table.left_out) == ([], ["x (dates)"])


def test_a_slip_among_numbers_is_named_and_no_category(tmp_path):
    table, _ = column(tmp_path, "41", "50", "ca. 60", "45", "60", "72")
    assert table.clinical == []
    assert table.left_out == ["x (numbers except for 'ca. 60' (case p2); empty or correct such cells)"]
    with pytest.raises(ValueError, match=r"found numbers except for 'ca. 60' \(case p2\).*take it out of --clinical"):
        read(tmp_path, (tmp_path / "labels.csv").read_text(), clinical=["x"])


def test_paths_are_never_clinical(tmp_path):
    table, _ = column(tmp_path, "a/1.mgz", "a/2.mgz", "b\\3.dcm", "NA")
    assert table.clinical == []
    assert table.left_out == ["x (paths of files)"]


def test_names_match_whatever_excel_and_other_systems_made_of_them():
    apart = unicodedata.normalize("NFD", "Müller")
    names, rows = (["001", "010", "P 3", "P4", "M\u00fcller", "7", "07"], ["1", "10.0", "p 3", "P4 ", apart, "007"])
    found = match_names(names, rows)
    assert found.row_of == dict(zip(names[:5], rows, strict=False))  # 7 or 07?
    assert "1 and 001" in found.note("table")
    assert match_names(["1", "001"], ["1"]).row_of == {"1": "1"}


def labelled(*labels: str) -> list[dict]:
    return [{"label": label} for label in labels]


def test_near_identical_class_names_are_one_class_and_said():
    cases, notes = one_spelling(labelled("Benign", "benign", "benign", " malignant", "malignant", "malignant"))
    assert [case["label"] for case in cases] == ["benign"] * 3 + ["malignant"] * 3
    assert notes[0] == "warning: label: ' malignant' (1) and 'malignant' (2) are taken for one, 'malignant'"
    asked, _ = one_spelling(labelled("Benign", "benign", "benign", "x"), ["Benign", "x"])
    assert {case["label"] for case in asked} == {"Benign", "x"}
    numbers, _ = one_spelling(labelled("1", "1.0", "0", "0"))
    assert {case["label"] for case in numbers} == {"0", "1"} or {case["label"] for case in numbers} == {"0", "1.0"}


def test_levels_are_not_slips_and_codes_stay_labels():
    _, notes = one_spelling(labelled(*["stage II"] * 30, "stage III", *["HER2+"] * 9, "HER2-"))
    assert notes == []
    _, notes = one_spelling(labelled(*["malignant"] * 30, "malignent", *["benign"] * 9))
    assert "'malignent' (1 cases) and 'malignant' (30 cases) are spelt nearly alike" in notes[0]
    for code in ("NA", "-999"):
        cases, notes = one_spelling(labelled(code, "b", "b"))
        assert cases[0]["label"] == code
        assert f"label {code!r} (1 cases) is a class of its own" in notes[0]


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", "A"]])
def test_one_class_is_no_task(labels):
    with pytest.raises(ValueError, match=r"labels of at least two classes"):
        one_spelling(labelled(*labels))


def test_empty_labels_are_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"must give a label to at least one case, found the column 'label' empty"):
        read(tmp_path, "case,label,age\np1,,61\np2,,62\n")


def test_an_unknown_patient_does_not_join_cases(tmp_path):
    table = read(tmp_path, "case,label,patient,site\np1,a,NA,X\np2,b,NA,?\np3,b,P,Y\n")
    assert "patient" not in table.rows["p1"]
    assert table.rows["p3"]["patient"] == "P"
    assert "cases whose patient counts as unknown: p1, p2" in table.notes


def test_patients_and_sites_that_differ_by_accident_are_one(tmp_path):
    """Else a patient could be in two splits."""
    text = "case,label,patient,site\nc1,a,P1,Center A\nc2,b,p1,center a\nc3,a,P1,Center A\nc4,b,P2,Center B\n"
    table = read(tmp_path, text)
    assert [(row["patient"], row["site"]) for row in table.rows.values()] == [("P1", "Center A")] * 3 + [
        ("P2", "Center B")
    ]
    assert "patient: 'p1' (1) and 'P1' (2) are taken for one, 'P1'" in table.notes


def test_names_that_a_spreadsheet_would_compute_are_read_with_their_apostrophe_and_without(tmp_path):
    table = read(tmp_path, "case,label,x\n'=p1,'-b,'-1.5\n=p2,+a,2\n")
    assert list(table.rows) == ["=p1", "=p2"]
    assert [row["label"] for row in table.rows.values()] == ["-b", "+a"]
    assert [row["clinical"]["x"] for row in table.rows.values()] == [-1.5, 2.0]


def test_marks_of_direction_are_no_part_of_a_cell(tmp_path):
    table = read(tmp_path, "case,label\n\u202ap1\u202c,b\u202e\np2,a\n")
    assert list(table.rows) == ["p1", "p2"]
    assert [row["label"] for row in table.rows.values()] == ["b", "a"]


def test_short_rows_are_said(tmp_path):
    table = read(tmp_path, "case,label,age,size\nc1,a,50,2\nc2,b\nc3,a,51,3\n")
    assert table.rows["c2"]["clinical"] == {}
    assert "rows of the label file with fewer cells than the first one, the rest taken as empty: 3" in table.notes


def test_a_quotation_mark_that_never_ends_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a quotation mark is never closed"):
        read(tmp_path, 'case,label\np1,"a\np2,b\n')


def excel(file: Path, *rows: list, formats: dict[str, str] | None = None) -> Path:
    openpyxl = pytest.importorskip("openpyxl", reason="pip install -r requirements-excel.txt")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, form in (formats or {}).items():
        book.active[cell].number_format = form
    book.save(file)
    return file


def written(file: Path, rows: list[list]) -> Path:
    """Write a table as CSV or Excel, by the file's name."""
    if file.suffix == ".xlsx":
        return excel(file, *rows)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


def test_labels_in_excel(tmp_path):
    rows = [["Case", "Label", "fat"], [1, "a", 0.25], [2.0, "b", 0.5], [None, None, None], ["x", "b", "n/a"]]
    file = excel(tmp_path / "labels.xlsx", *rows, formats={"C2": "0%", "C3": "0.0%"})
    table = read_label_table(file)
    assert {case: (row["label"], row["clinical"]) for case, row in table.rows.items()} == {
        "1": ("a", {"fat": 25.0}),
        "2": ("b", {"fat": 50.0}),
        "x": ("b", {}),
    }
    assert table.clinical[0]["unit"] == "%"
    disguised = tmp_path / "labels.csv"
    disguised.write_bytes(file.read_bytes())
    assert read_label_table(disguised).rows == table.rows
    never = excel(tmp_path / "formula.xlsx", ["case", "label"], ["p1", '=IF(1,"a","b")'])
    with pytest.raises(ValueError, match=r"cell B2 of sheet 'Sheet' must have a value, found the formula"):
        read_label_table(never)
    old = tmp_path / "old.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    with pytest.raises(ValueError, match=r"Excel file from before 2007; save it as .xlsx"):
        read_label_table(old)


def test_a_clinical_table_is_read_with_the_same_care(tmp_path):
    cases = [{"case": name, "image": {}, "label": "a"} for name in ("001", "002", "Zo\u0308e")]
    text = "Subject;PSA [ng/ml];size\n1;4,5;3\n2;NA;12 mm\nZo\u00eb;0,5;<2\nZ\u00f6e;1;2\n"
    (tmp_path / "clinical.csv").write_bytes(text.encode("cp1252"))
    joined = join_clinical_table(Found("toy", ["pre"], cases), tmp_path / "clinical.csv")
    values = {case["case"]: case["clinical"] for case in joined.cases}
    assert values["001"] == {"PSA": 4.5, "size": 3.0}
    assert values["002"] == {"size": 12.0}
    assert values["Zo\u0308e"] == {"PSA": 1.0, "size": 2.0}
    assert joined.clinical[1] == {"name": "size", "kind": "number", "unit": "mm"}
    assert "rows of the clinical table without a case, left out: Zo\u00eb" in joined.notes
    assert any("spells differently (there, and here): 1 and 001, 2 and 002" in line for line in joined.notes)


def test_folders_of_a_system_without_unicode_are_named(tmp_path):
    from scripts.cases.folder import case_folders

    for name in (b"M\xfcller", b"p001"):
        (tmp_path / os.fsdecode(name)).mkdir()
    with pytest.raises(ValueError, match=r"names that are UTF-8 text .*, found 'M\\xfcller'; rename them") as error:
        case_folders(tmp_path)
    str(error.value).encode()  # can be printed
    with pytest.raises(ValueError, match=r"the output folder .* UTF-8 text in one line, found '.*M\\xfcller/out'"):
        prepare(Settings(tmp_path / "in", "folders", tmp_path / os.fsdecode(b"M\xfcller") / "out"))


def test_grade_and_stage_are_left_out_by_preparing(save_volume, tmp_path, capsys):
    """The whole way, with two columns that only together are the label."""
    rows = ["case,label,grade,stage,age"]
    for number in range(48):
        grade, stage = number % 4 + 1, number // 4 % 4 + 1
        save_volume(tmp_path / "in" / f"c{number:02d}" / "pre.nii.gz")
        rows.append(f"c{number:02d},{'ab'[grade + stage > 5]},{grade},{stage},{40 + number * 7 % 31}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    file = prepare(
        Settings(tmp_path / "in", "folders", tmp_path / "out", labels=tmp_path / "labels.csv", quality=False, workers=1)
    )
    assert [column["name"] for column in json.loads(file.read_text())["clinical"]] == ["age"]
    printed = capsys.readouterr().out
    assert (
        "warning: clinical columns 'grade' and 'stage' together tell the class 'a' by their values (AUC 1.000"
        in printed
    )
    assert "note: most telling clinical columns of " in printed
    assert "grade + stage 1.00" in printed


@pytest.mark.parametrize("other", ["age", "AGE", " A ge ", '"a\nge"'])
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_two_columns_of_one_name_are_refused_with_their_places(kind, other, tmp_path):
    rows = [["case", "label", "age", "x", other.strip('"')], ["p1", "a", "1", "2", "3"], ["p2", "b", "1", "2", "3"]]
    file = written(tmp_path / f"labels.{kind}", rows)
    for table, read in (("label file", read_label_table), ("clinical table", read_clinical_rows)):
        with pytest.raises(
            ValueError, match=rf"{table} .*{kind} must have.*'age' \(row 1, column 3\).*\(column 5\); rename one"
        ) as caught:
            read(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_line_breaks_within_cells_are_said(kind, tmp_path):
    rows = [["case", "label", "age\n[years]"], ["p1", "a", "5\r\n"], ["p\n2", "b", "6"], ["p3", "b", "7"]]
    file = written(tmp_path / f"labels.{kind}", rows)
    table = read_label_table(file)
    assert list(table.rows) == ["p1", "p 2", "p3"]
    assert (
        "line breaks within cells of the label file are read as blanks: row 1, column 3, row 3, column 1" in table.notes
    )


def test_a_cell_of_any_length_is_a_cell(tmp_path):
    table = read(tmp_path, f"case,label,remark\np1,a,{'x' * 200_000}\np2,b,y\n")
    assert list(table.rows) == ["p1", "p2"]
