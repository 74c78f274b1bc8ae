"""A clinical table beside the images, of whatever layout: joined by case, else by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.data.clinical import Column, name_and_unit
from scripts.data.column_values import ColumnValues
from scripts.data.decided_columns import CellValues, texts_of
from scripts.data.label_table import PLAIN, read_columns
from scripts.data.layouts.found import Found
from scripts.data.nearest import listing
from scripts.data.note import note
from scripts.data.same_name import match_names
from scripts.data.splits import patient_of
from scripts.data.table_file import Table, is_identifier, read_table, with_usual_names

NAME = "clinical table"
OPTION = "--clinical_table"
NOT_CLINICAL = ("label", "split", "site")
"""Columns that label files give a meaning; a clinical table does not, and they are no measurements."""
ROW = "\n"
"""Key of the name of a row, for messages; no header is a line break."""

Row = dict[str, str]


def join_clinical_table(found: Found, file: Path, wanted: Sequence[str] | None = None) -> Found:
    """Return the cases with the values of a table, whose columns come behind those of the layout.

    The table has a column `case`, or `patient`, or both (also `case_id`, `PatientID`, see `USUAL_HEADERS`). A
    case takes the row with its name, else the row of its patient. Numbers, categories, units and missing
    values are read as in a label file.

    Args:
        found: what the layout found.
        file: CSV or Excel file.
        wanted: columns to take, of the table and of the layout; None takes all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no column to join by, a join that is not one to one, no row that matches, a column that
            the layout has already, or a wanted column that is missing or free text.
    """
    table = read_clinical_rows(file)
    joined, notes = rows_by_case(table, found.cases)
    used = list({id(row): row for row in joined.values()}.values())
    headers = measurements(table)
    read = read_columns(replace(table, rows=used), headers, ROW)
    columns = {header: read[header].column for header in headers}
    taken = {header: column for header, column in columns.items() if column is not None}
    _check_names(file, found.clinical, taken, read, wanted)
    declared = [*found.clinical, *taken.values()]
    chosen = [column for column in declared if wanted is None or column["name"] in wanted]
    names = {column["name"] for column in chosen}
    position = {id(row): index for index, row in enumerate(used)}
    cases = []
    for case in found.cases:
        values = dict(case.get("clinical", {}))
        row = joined.get(case["case"])
        for header, column in taken.items():
            value = None if row is None else read[header].values[position[id(row)]]
            values |= {} if value is None else {column["name"]: value}
        texts = texts_of(case) | ({} if row is None else {header: row[header] for header in headers})
        wanted_texts = {
            h: text for h, text in texts.items() if wanted is None or name_and_unit(h)[0] in wanted
        }
        chosen_values = {name: values[name] for name in values if name in names}
        cases.append(case | {"clinical": CellValues(chosen_values, wanted_texts, table.decimal)})
    ignored = [header for header in table.headers if header in NOT_CLINICAL or columns.get(header, 1) is None]
    reasons = {h: read[h].reason for h in ignored if h in read and read[h].reason not in PLAIN}
    told = [f"{header} ({reasons[header]})" if header in reasons else header for header in ignored]
    notes += [
        line for header, column in taken.items() if column["name"] in names for line in read[header].notes
    ]
    notes.append(note(f"columns of the {NAME} not taken (free text, empty, or no measurement)", told))
    return replace(
        found, cases=cases, clinical=chosen, notes=[*found.notes, *(line for line in notes if line)]
    )


def read_clinical_rows(file: Path) -> Table:
    """Read a clinical table: each row has `case` and `patient`, which may be empty, and its name (`ROW`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: no column to join by, or unreadable.
    """
    table = with_usual_names(read_table(file, NAME, OPTION), "case", "patient", *NOT_CLINICAL)
    if not {"case", "patient"} & set(table.headers):
        raise ValueError(
            f"{table} must have a column 'case' or 'patient', found {listing('case', table.headers)}; name "
            "the column that holds the names of the cases or patients"
        )
    blank = dict.fromkeys(("case", "patient"), "")
    rows = [blank | row for row in table.rows]
    return replace(
        table, rows=[row | {ROW: row["case"] or row["patient"] or "without a name"} for row in rows]
    )


def measurements(table: Table) -> list[str]:
    """Return the headers of a clinical table that may be clinical values."""
    fixed = ("case", "patient", *NOT_CLINICAL)
    return [header for header in table.headers if header not in fixed and not is_identifier(header)]


def rows_by_case(table: Table, cases: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Row], list[str]]:
    """Return case -> its row, else that of its patient, and lines about who has none and what is left over.

    Names match as `match_names` has it.

    Raises:
        ValueError: two rows for one case or patient, a row of another patient, or no row that matches.
    """
    by_case, by_patient = _keyed(table, "case"), _keyed(table, "patient")
    case_rows = match_names([case["case"] for case in cases], by_case)
    spare = by_patient or {
        name: row for name, row in by_case.items() if name not in case_rows.row_of.values()
    }
    patient_rows = match_names([patient_of(case) for case in cases], spare)
    joined: dict[str, Row] = {}
    for case in cases:
        name, patient = case["case"], patient_of(case)
        row = by_case[case_rows.row_of[name]] if name in case_rows.row_of else None
        row = spare[patient_rows.row_of[patient]] if row is None and patient in patient_rows.row_of else row
        if row is None:
            continue
        if (
            row["patient"]
            and case.get("patient")
            and not match_names([row["patient"]], [case["patient"]]).row_of
        ):
            raise ValueError(
                f"case {name} must be of one patient, found {case['patient']!r} with the images and "
                f"{row['patient']!r} in {table}; correct one"
            )
        joined[name] = row
    if not joined:
        keys = ", ".join(list(by_case | by_patient)[:3]) or "no row"
        raise ValueError(
            f"{table} must have a row for at least one case, found {keys} where the cases are "
            f"{cases[0]['case']!r}, ... (patient {patient_of(cases[0])!r}); correct its 'case' or "
            "'patient' column"
        )
    used = {id(row) for row in joined.values()}
    loose = list(dict.fromkeys([*case_rows.loose, *patient_rows.loose]))
    lines = [
        *table.notes,
        note(f"names that the {NAME} spells differently (there, and here)", loose),
        note(
            f"rows of the {NAME} without a case, left out", [r[ROW] for r in table.rows if id(r) not in used]
        ),
        note(f"cases without a row in the {NAME}", [c["case"] for c in cases if c["case"] not in joined]),
    ]
    return joined, [line for line in lines if line]


def _keyed(table: Table, name: str) -> dict[str, Row]:
    """Return case -> its row, or patient -> the row that names this patient and no case."""
    keyed: dict[str, Row] = {}
    for row in table.rows:
        if not row[name] or (name == "patient" and row["case"]):
            continue
        if row[name] in keyed:
            raise ValueError(
                f"{name} {row[name]} must have one row in {table}, found two; remove one"
                + (", or name the case of each in a column 'case'" if name == "patient" else "")
            )
        keyed[row[name]] = row
    return keyed


def _check_names(
    file: Path,
    own: Sequence[Column],
    taken: Mapping[str, Column],
    read: Mapping[str, ColumnValues],
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
    texts = {
        name_and_unit(header)[0]: column.reason for header, column in read.items() if column.column is None
    }
    for name in wanted or ():
        if name in texts:
            raise ValueError(
                f"clinical column {name!r} must be numbers or few different texts, found "
                f"{'free text or nothing' if texts[name] in PLAIN else texts[name]} in {NAME} {file}; take "
                "it out of --clinical"
            )
        if name not in known:
            raise ValueError(
                f"clinical column {name!r} is not among {listing(name, known)} of {NAME} {file} and the "
                "images; correct --clinical or the file"
            )
