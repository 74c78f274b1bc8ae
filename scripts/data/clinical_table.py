"""A clinical table beside the images, of whatever layout: joined by case, else by patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.data.clinical import Column, column_from_texts, name_and_unit, value_from_text
from scripts.data.layouts.found import Found
from scripts.data.nearest import listing
from scripts.data.note import note
from scripts.data.splits import patient_of
from scripts.data.table_file import read_table

NAME = "clinical table"
OPTION = "--clinical_table"
NOT_CLINICAL = ("label", "split", "site")
"""Columns that label files give a meaning; a clinical table does not, and they are no measurements."""

Row = dict[str, str]


def join_clinical_table(found: Found, file: Path, wanted: Sequence[str] | None = None) -> Found:
    """Return the cases with the values of a table, whose columns come behind those of the layout.

    The table has a column `case`, or `patient`, or both (also `case_id`, `PatientID`). A case takes the row
    with its name, else the row of its patient. Numbers, categories, units and missing values are read as in a
    label file.

    Args:
        found: what the layout found.
        file: CSV or Excel file.
        wanted: columns to take, of the table and of the layout; None takes all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no column to join by, a join that is not one to one, no row that matches, a column that the
            layout has already, or a wanted column that is missing or free text.
    """
    rows = _rows(file)
    by_case, by_patient = _keyed(file, rows, "case"), _keyed(file, rows, "patient")
    joined = {case["case"]: _row_of(file, case, by_case, by_patient) for case in found.cases}
    used = [row for row in joined.values() if row is not None]
    if not used:
        keys = ", ".join(list(by_case | by_patient)[:3]) or "no row"
        raise ValueError(
            f"{NAME} {file} must have a row for at least one case, found {keys} where the cases are "
            f"{found.cases[0]['case']!r}, ... (patient {patient_of(found.cases[0])!r}); correct its 'case' or "
            "'patient' column"
        )
    headers = [header for header in rows[0] if header and _key(header) not in ("case", "patient", *NOT_CLINICAL)]
    columns = {header: column_from_texts(header, [row[header] for row in used]) for header in headers}
    taken = {header: column for header, column in columns.items() if column is not None}
    _check_names(file, found.clinical, taken, columns, wanted)
    declared = [*found.clinical, *taken.values()]
    chosen = [column for column in declared if wanted is None or column["name"] in wanted]
    names = {column["name"] for column in chosen}
    cases = []
    for case in found.cases:
        values = dict(case.get("clinical", {}))
        for header, column in taken.items():
            row = joined[case["case"]]
            value = None if row is None else value_from_text(row[header], column)
            values |= {} if value is None else {column["name"]: value}
        cases.append(case | {"clinical": {name: values[name] for name in values if name in names}})
    matched = {id(row) for row in used}
    ignored = [header for header in rows[0] if _key(header) in NOT_CLINICAL or columns.get(header, 1) is None]
    notes = [
        note(
            f"rows of the {NAME} without a case, left out", [_name(r) for r in rows if id(r) not in matched]
        ),
        note(f"cases without a row in the {NAME}", [case for case, row in joined.items() if row is None]),
        note(f"columns of the {NAME} not taken (free text, empty, or no measurement)", ignored),
    ]
    return replace(
        found, cases=cases, clinical=chosen, notes=[*found.notes, *(line for line in notes if line)]
    )


def _rows(file: Path) -> list[Row]:
    """Return the rows by header, each with the cells `case` and `patient`, which may be empty."""
    lines = read_table(file, NAME, OPTION)
    headers = lines[0] if lines else []
    for name in ("case", "patient"):
        same = [header for header in headers if _key(header) == name]
        if len(same) > 1:
            raise ValueError(
                f"{NAME} {file} must have one column for the {name}, found {', '.join(same)}; remove one"
            )
        headers = [name if _key(header) == name else header for header in headers]
    if not {"case", "patient"} & set(headers):
        raise ValueError(
            f"{NAME} {file} must have a column 'case' or 'patient', found {listing('case', headers)}; name "
            "the column that holds the names of the cases or patients"
        )
    twice = next((header for header in headers if header and headers.count(header) > 1), None)
    if twice is not None:
        raise ValueError(f"{NAME} {file} must have columns of different names, found {twice!r} twice")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) > len(headers):
            raise ValueError(
                f"{NAME} {file}: row {number} must have {len(headers)} cells, found {len(line)}; "
                "put texts with a separator in quotes"
            )
    blank = dict.fromkeys(("case", "patient"), "")
    return [blank | dict(zip(headers, [*line, *[""] * len(headers)], strict=False)) for line in lines[1:]]


def _key(header: str) -> str:
    """Return the name of a column without spelling variants: `Patient ID`, `patient_id` -> `patient`."""
    return re.sub(r"[\W_]+", "", header.lower()).removesuffix("id")


def _keyed(file: Path, rows: Sequence[Row], name: str) -> dict[str, Row]:
    """Return case -> its row, or patient -> the row that names this patient and no case."""
    keyed: dict[str, Row] = {}
    for row in rows:
        if not row[name] or (name == "patient" and row["case"]):
            continue
        if row[name] in keyed:
            raise ValueError(
                f"{name} {row[name]} must have one row in {NAME} {file}, found two; remove one"
                + (", or name the case of each in a column 'case'" if name == "patient" else "")
            )
        keyed[row[name]] = row
    return keyed


def _row_of(
    file: Path, case: dict[str, Any], by_case: dict[str, Row], by_patient: dict[str, Row]
) -> Row | None:
    row = by_case.get(case["case"]) or by_patient.get(patient_of(case))
    if row and row["patient"] and case.get("patient") and row["patient"] != case["patient"]:
        raise ValueError(
            f"case {case['case']} must be of one patient, found {case['patient']!r} with the images and "
            f"{row['patient']!r} in {NAME} {file}; correct one"
        )
    return row


def _check_names(
    file: Path,
    own: Sequence[Column],
    taken: dict[str, Column],
    columns: dict[str, Column | None],
    wanted: Sequence[str] | None,
) -> None:
    here = [column["name"] for column in taken.values()]
    for name in here:
        if name in {column["name"] for column in own} or here.count(name) > 1:
            raise ValueError(
                f"clinical column {name!r} must come from one place, found it in {NAME} {file} and with the "
                "images or in another column; remove or rename one"
            )
    known = [column["name"] for column in own] + here
    texts = {name_and_unit(header)[0] for header, column in columns.items() if column is None}
    for name in wanted or ():
        if name in texts:
            raise ValueError(
                f"clinical column {name!r} must be numbers or few different texts, found free text or nothing "
                f"in {NAME} {file}; take it out of --clinical"
            )
        if name not in known:
            raise ValueError(
                f"clinical column {name!r} is not among {listing(name, known)} of {NAME} {file} and the "
                "images; correct --clinical or the file"
            )


def _name(row: Row) -> str:
    return row["case"] or row["patient"] or "a row without a name"
