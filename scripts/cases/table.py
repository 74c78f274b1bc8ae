"""A clinical table beside the images, of whatever layout: joined by case, else by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.cases.spelling import match_names
from scripts.cases.splits import Case, patient_of
from scripts.files.plain_text import listing, note
from scripts.files.tables import Table, is_identifier, read_table, with_usual_names

NAME = "clinical table"
OPTION = "--clinical_table"
NOT_CLINICAL = ("label", "split", "site")
"""Columns that label files give a meaning; a clinical table does not, and they are no measurements."""
ROW = "\n"  # key of the name of a row, for messages; no header is a line break

Row = dict[str, str]


def read_clinical_rows(file: Path) -> Table:
    """Read a clinical table: each row has `case` and `patient`, which may be empty, and its name (`ROW`)."""
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


def rows_by_case(table: Table, cases: Sequence[Case]) -> tuple[dict[str, Row], list[str]]:
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
