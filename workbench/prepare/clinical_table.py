# SPDX-License-Identifier: Apache-2.0
"""Join a clinical table to the cases of any layout: by case, else by patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.cases.clinical import Column, name_and_unit
from scripts.cases.column import ColumnValues
from scripts.cases.table import NAME, NOT_CLINICAL, ROW, measurements, read_clinical_rows, rows_by_case
from scripts.files.plain_text import listing, note
from workbench.prepare.deciding import CellValues, texts_of
from workbench.prepare.labels import PLAIN, read_columns
from workbench.prepare.layouts import Found


def join_clinical_table(found: Found, file: Path, wanted: Sequence[str] | None = None) -> Found:
    """Return the cases with the values of a clinical table, its columns after those of the layout.

    The table has a column `case`, or `patient`, or both (also `case_id`, `PatientID`, see `USUAL_HEADERS`). A
    case takes the row with its name, else the row of its patient. Numbers, categories, units and missing
    values are read as in a label file.

    Args:
        wanted: columns to take, of the table and of the layout; None takes all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no column to join by, a join that is not one to one, no row that matches, a column that
            the layout already has, or a wanted column that is missing or free text.
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
        wanted_texts = {h: text for h, text in texts.items() if wanted is None or name_and_unit(h)[0] in wanted}
        chosen_values = {name: values[name] for name in values if name in names}
        cases.append(case | {"clinical": CellValues(chosen_values, wanted_texts, table.decimal)})
    ignored = [header for header in table.headers if header in NOT_CLINICAL or columns.get(header, 1) is None]
    reasons = {h: read[h].reason for h in ignored if h in read and read[h].reason not in PLAIN}
    told = [f"{header} ({reasons[header]})" if header in reasons else header for header in ignored]
    notes += [line for header, column in taken.items() if column["name"] in names for line in read[header].notes]
    notes.append(note(f"columns of the {NAME} not taken (free text, empty, or no measurement)", told))
    return replace(found, cases=cases, clinical=chosen, notes=[*found.notes, *notes])


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
    texts = {name_and_unit(header)[0]: column.reason for header, column in read.items() if column.column is None}
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
