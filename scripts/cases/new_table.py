# SPDX-License-Identifier: Apache-2.0
"""The clinical table of new cases: the columns that a model reads, in its units and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.cases.clinical import Column, name_and_unit
from scripts.cases.column import ColumnValues, is_missing, plain_unit, read_numbers
from scripts.cases.document import Item
from scripts.cases.table import NAME, OPTION, ROW, folded, measurements, read_clinical_rows, rows_by_case
from scripts.files.numbers import decimal_mark_of_all, number
from scripts.files.plain_text import listing, nearest, note
from scripts.files.tables import Table


def with_clinical_table(
    items: Sequence[Item], file: str | Path, columns: Sequence[Column]
) -> tuple[list[Item], list[str]]:
    """Return the cases with their values from a table, and lines that tell how cells were interpreted.

    Rows are joined to cases as in `preparing` (`rows_by_case`), columns by name regardless of letter case and
    spaces.

    Args:
        file: CSV or Excel file with a column `case` or `patient`.
        columns: full declarations of the columns that the model reads.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a model without clinical columns, no matching row or column, a value of another kind, unit
            or category, or a value that the dataset gives as well.
    """
    if not columns:
        raise ValueError(f"{OPTION} {file} must be for a model that reads clinical columns, found none; leave it out")
    table = read_clinical_rows(Path(file).expanduser())
    headers = _headers(table, columns)
    joined, notes = rows_by_case(table, items)
    used = list({id(row): row for row in joined.values()}.values())
    position = {id(row): index for index, row in enumerate(used)}
    read = _values(replace(table, rows=used), headers, columns)
    filled = [{**item, "clinical": dict(item["clinical"])} for item in items]
    for item in filled:
        row = joined.get(item["case"])
        for name, column in read.items():
            value = None if row is None else column.values[position[id(row)]]
            if value is not None and name in item["clinical"]:
                raise ValueError(
                    f"case {item['case']}: clinical value {name!r} must come from one place, found it in "
                    f"{table} and in dataset.json; take one out"
                )
            item["clinical"] |= {} if value is None else {name: value}
    notes += [line for column in read.values() for line in column.notes]
    unread = [header for header in measurements(table) if header not in headers.values()]
    notes.append(note(f"columns of the {NAME} that the model does not read", unread))
    for name in (column["name"] for column in columns if column["name"] not in headers):
        meant = nearest(name, (name_and_unit(header)[0] for header in unread), cutoff=0.8)
        notes.append(
            f"the {NAME} has {meant!r} and lacks {name!r}: rename the column if it is the same" if meant else ""
        )
    return filled, [line for line in notes if line]


GIVE = f"; pass {OPTION} FILE.csv, or for one patient --clinical"


def lacking(items: Sequence[Mapping[str, Any]], columns: Sequence[Column], where: str, remedy: str = GIVE) -> str:
    """Return a warning about clinical columns that the model reads and cases lack; empty if none are lacking.

    >>> lacking([{"case": "a", "clinical": {}}], [{"name": "age", "kind": "number", "unit": "years"}], "new")
    'warning: the model reads the clinical columns [age (years)], and new gives none of them: all 1 cases \
are predicted without; pass --clinical_table FILE.csv, or for one patient --clinical'
    """
    cases = {
        column["name"]: [item["case"] for item in items if column["name"] not in item["clinical"]] for column in columns
    }
    if not any(cases.values()):
        return ""
    if all(len(names) == len(items) for names in cases.values()):
        titles = ", ".join(f"{c['name']} ({c['unit']})" if c.get("unit") else c["name"] for c in columns)
        return (
            f"warning: the model reads the clinical columns [{titles}], and {where} gives none of them: all "
            f"{len(items)} cases are predicted without{remedy}"
        )
    parts = [
        f"{name} in all {len(items)} cases" if len(names) == len(items) else note(name, names)
        for name, names in cases.items()
        if names
    ]
    said = "clinical values that the model reads are missing, and are predicted without"
    return f"warning: {said}: {'; '.join(parts)}"


def _headers(table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """Return column -> header of the table; an identical name takes precedence over one that merely resembles it."""
    found: dict[str, str] = {}
    for column in columns:
        names = {header: name_and_unit(header)[0] for header in measurements(table)}
        equal = [header for header, name in names.items() if name == column["name"]]
        alike = [header for header, name in names.items() if folded(name) == folded(column["name"])]
        fitting = equal or alike
        if len(fitting) > 1:
            raise ValueError(
                f"{table} must have one column {column['name']!r}, found {', '.join(map(repr, fitting))}; rename one"
            )
        found |= {column["name"]: fitting[0]} if fitting else {}
    if not found:
        wanted = [column["name"] for column in columns]
        raise ValueError(
            f"{table} must have at least one of the model's columns {listing('', wanted)}, found "
            f"{listing(wanted[0], measurements(table))}; rename its columns"
        )
    return found


def _values(table: Table, headers: Mapping[str, str], columns: Sequence[Column]) -> dict[str, ColumnValues]:
    elsewhere = decimal_mark_of_all([row[header] for row in table.rows] for header in headers.values())
    rows = [row[ROW] for row in table.rows]
    read = {}
    for column in columns:
        header = headers.get(column["name"])
        if header is None:
            continue
        texts = [row[header] for row in table.rows]
        try:
            if column["kind"] == "category":
                read[column["name"]] = categories_for(column, texts, rows)
            else:
                read[column["name"]] = numbers_for(column, header, texts, rows, elsewhere, table.decimal)
        except ValueError as error:
            raise ValueError(f"{table}: {error}") from None
    return read


def numbers_for(
    column: Column, header: str, texts: Sequence[str], rows: Sequence[str], elsewhere: str = "", custom: str = ""
) -> ColumnValues:
    """Read a column of numbers for a model that declares it.

    Raises:
        ValueError: a cell that is not a number, or a unit other than the model's.

    >>> numbers_for({"name": "age", "kind": "number"}, "age", ["61,5", "NA"], ["a", "b"]).values
    [61.5, None]
    """
    name = column["name"]
    cells = [None if is_missing(text) else number(text) for text in texts]
    _refuse_unread(name, "numbers", texts, rows, cells)
    if not any(cell is not None for cell in cells):
        return ColumnValues(dict(column), [None] * len(texts))
    read = read_numbers(name, name_and_unit(header)[1], cells, rows, [], elsewhere, custom)
    unit, own = (read.column or {}).get("unit"), column.get("unit")
    if unit and own and plain_unit(unit) != plain_unit(own):
        raise ValueError(
            f"clinical column {name!r} must be in {own!r}, the unit of the model, found {unit!r}; convert its values"
        )
    said = [f"{name} of the {NAME} has no unit and is taken to be in {own}"] if own and not unit else []
    return ColumnValues(dict(column), read.values, [*read.notes, *said])


def categories_for(column: Column, texts: Sequence[str], rows: Sequence[str]) -> ColumnValues:
    """Read a column of categories for a model that declares it, ignoring letter case and spaces.

    >>> column = {"name": "sex", "kind": "category", "values": ["F", "M"]}
    >>> categories_for(column, ["m", "?"], ["a", "b"]).values
    ['M', None]
    """
    spelling = {folded(value): value for value in reversed(column["values"])} | {v: v for v in column["values"]}
    values: list[float | str | None] = [spelling.get(text, spelling.get(folded(text))) for text in texts]
    _refuse_unread(column["name"], f"one of [{', '.join(column['values'])}]", texts, rows, values)
    changed = {text: value for text, value in zip(texts, values, strict=True) if value not in (None, text)}
    said = [f"{column['name']}: {', '.join(f'{text!r} is {value!r}' for text, value in changed.items())}"]
    return ColumnValues(dict(column), values, said if changed else [])


def _refuse_unread(name: str, what: str, texts: Sequence[str], rows: Sequence[str], values: Sequence[object]) -> None:
    """Refuse non-empty cells without a value (None); the error lists them all."""
    wrong = [
        f"{text!r} (case {row})"
        for text, row, value in zip(texts, rows, values, strict=True)
        if value is None and not is_missing(text)
    ]
    if wrong:
        raise ValueError(
            f"clinical column {name!r} must be {what}, {note('found', wrong).replace(':', '', 1)}; correct "
            "these cells, or empty them where the value is not known"
        )
