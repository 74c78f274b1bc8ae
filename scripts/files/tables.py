# SPDX-License-Identifier: Apache-2.0
"""Tables as people keep them: CSV and Excel files read as text, with columns under their usual names."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.files.csv_text import decode, one_line, split_rows
from scripts.files.plain_text import listing, note

EXCEL = (".xlsx", ".xlsm")
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
USUAL_HEADERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "case": (
        ("case", "caseid", "casename"),
        ("id", "subject", "subjectid", "participant", "participantid", "study", "studyid", "scan", "scanid"),
    ),
    "label": (("label",), ("labels", "class", "classlabel"), ("diagnosis", "target", "outcome", "group")),
    "patient": (("patient", "patientid", "patientno", "patientnumber"), ("pid", "mrn", "pat", "patid")),
    "site": (("site", "siteid"), ("center", "centre", "centerid", "hospital", "institution")),
    "split": (("split",),),
}
"""Meaning -> headers that stand for it, without spelling variants, clearest first."""


@dataclass(frozen=True)
class Table:
    """The cells of a table as texts."""

    file: Path
    name: str  # what the table is called in messages, e.g. label file
    headers: list[str]  # column names in order; nameless columns are left out
    rows: list[dict[str, str]]  # header -> text, "" for an empty cell
    notes: list[str] = field(default_factory=list)
    # what a comma in a number presumably is: "," (the decimal mark) where semicolons separate the cells
    decimal: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.file}"


def read_table(file: Path, name: str, option: str, rename: Mapping[str, str] | None = None) -> Table:
    """Read a table whose first row holds the column names; empty rows are skipped.

    CSV: separated by comma, semicolon, tab or bar, in any encoding that `decode` knows. Excel: the first sheet
    that is not empty, with the values last computed; whole numbers without a decimal point, dates as
    2024-01-31, percentages as 45%. Spaces around a cell are removed; accented letters are composed.

    Args:
        file: an Excel file by its ending or content, otherwise CSV.
        name: what the file is called in messages, e.g. label file.
        option: the option that names the file, e.g. --labels.
        rename: header in the file -> name to use instead, e.g. {"participant_id": "case"}.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable file, Excel without the package openpyxl, duplicate column names, or a row that
            is too long.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{name} {file} does not exist; correct {option}")
    lines, notes, separator = _lines(file, name)
    headers = [(rename or {}).get(header, header) for header in (lines[0] if lines else [])]
    columns: dict[str, int] = {}
    for number, header in enumerate(headers, start=1):
        first = columns.setdefault("".join(header.casefold().split()), number)
        if header and first != number:
            raise ValueError(
                f"{name} {file} must have columns of different names, letter case and blanks apart, found "
                f"{headers[first - 1]!r} (row 1, column {first}) and {header!r} (column {number}); rename one"
            )
    rows, short = [], []
    for number, line in enumerate(lines[1:], start=2):
        short += [str(number)] if len(line) < len(headers) and any(headers[len(line) :]) else []
        while len(line) > len(headers) and not line[-1]:
            line = line[:-1]
        if len(line) > len(headers):
            raise ValueError(
                f"{name} {file}: row {number} must have {len(headers)} cells, found {len(line)}; "
                "put cells with a separator (decimal commas, too) in quotes"
            )
        rows.append(dict(zip(headers, [*line, *[""] * len(headers)], strict=False)))
    if short and file.suffix.lower() not in EXCEL:
        notes.append(note(f"rows of the {name} with fewer cells than the first one, the rest taken as empty", short))
    nameless = [index for index, header in enumerate(headers) if not header or header.startswith("Unnamed: ")]
    filled = [index for index in nameless if any(len(line) > index and line[index] for line in lines[1:])]
    if filled:
        places = ", ".join(str(index + 1) for index in filled)
        notes.append(f"columns of the {name} without a name, not taken: number {places}")
    headers = [header for index, header in enumerate(headers) if index not in nameless]
    return Table(file, name, headers, rows, notes, "," if separator == ";" else "")


def with_usual_names(table: Table, *meanings: str) -> Table:
    """Return the table with its columns `case`, `label` and so on renamed to that, however they are spelt.

    `Case`, `case_id`, `ID` and `subject` are read as the case if there is no clearer header (see
    `USUAL_HEADERS`). Renamings that are not obvious are noted.

    Raises:
        ValueError: two columns fit equally well.
    """
    keys = {header: _key(header) for header in table.headers}
    rename: dict[str, str] = {}
    for meaning in meanings:
        for tier in USUAL_HEADERS[meaning]:
            same = [header for header in table.headers if keys[header] in tier and header not in rename]
            if len(same) > 1:
                raise ValueError(
                    f"{table} must have one column for the {meaning}, found {', '.join(same)}; name the "
                    f"right one {meaning!r} and the other one differently"
                )
            if same:
                rename[same[0]] = meaning
                break
    notes = [
        f"column {header!r} of the {table.name} is taken for the {meaning}"
        for header, meaning in rename.items()
        if keys[header] not in USUAL_HEADERS[meaning][0]
    ]
    headers = [rename.get(header, header) for header in table.headers]
    rows = [{rename.get(header, header): text for header, text in row.items()} for row in table.rows]
    return replace(table, headers=headers, rows=rows, notes=[*table.notes, *notes])


def is_identifier(header: str) -> bool:
    """Return whether a column identifies cases or patients and is therefore not a measurement.

    >>> is_identifier("Patient ID"), is_identifier("MRN"), is_identifier("age")
    (True, True, False)
    """
    names = {name for meaning in ("case", "patient") for tier in USUAL_HEADERS[meaning] for name in tier}
    return _key(header) in names


def missing_column(table: Table, meaning: str, option: str, rule: str) -> ValueError:
    """Return the error for a table that lacks a required column."""
    usual = [name for tier in USUAL_HEADERS[meaning] for name in tier[:2]]
    return ValueError(
        f"{table} must have a column {meaning!r}, found {listing(meaning, table.headers)}; {rule} (also read "
        f"as {meaning}: {', '.join(usual[1:])}), or correct {option}"
    )


def _key(header: str) -> str:
    """Return a header in its normal spelling: `Patient ID`, `patient_id` -> `patientid`."""
    return re.sub(r"[\W_]+", "", header.casefold())


def _lines(file: Path, name: str) -> tuple[list[list[str]], list[str], str]:
    """Return the cells (headers in the first row), notes, and the separator of a CSV file ("" for Excel)."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} {file} cannot be read ({error.strerror}); correct its permissions") from None
    if file.suffix.lower() in EXCEL or content.startswith(_ZIP):
        lines, notes = _excel_lines(file, name, content)
        return _told(lines, name, notes), notes, ""
    if content.startswith(_OLD_EXCEL):
        raise ValueError(f"{name} {file} is an Excel file from before 2007; save it as .xlsx, or as CSV (UTF-8)")
    try:
        text, assumed = decode(content)
        lines, separator = split_rows(text)
    except ValueError as error:
        raise ValueError(f"{name} {file} cannot be read as a text ({error}); save it as CSV (UTF-8)") from None
    notes = list[str]()
    lines = _told(lines, name, notes)
    if not assumed:
        return lines, notes, separator
    foreign = [word for word in re.split(r"[\s,;|]+", text) if not word.isascii()]  # may be only foreign spaces
    example = f", e.g. {foreign[0][:40]!r}" if foreign else ""
    line = f"{name} {file.name} is not UTF-8 and was read as {assumed}{example}"
    return lines, [f"{line}; if that is wrong, save it as CSV (UTF-8)", *notes], separator


def _told(lines: list[list[str]], name: str, notes: list[str]) -> list[list[str]]:
    """Return the rows with every cell on one line, and note the cells that had several."""
    rows, broken = one_line(lines)
    notes += [note(f"line breaks within cells of the {name} are read as blanks", broken)] if broken else []
    return rows


def _excel_lines(file: Path, name: str, content: bytes) -> tuple[list[list[str]], list[str]]:
    try:
        import openpyxl
    except ImportError:
        raise ValueError(
            f"{name} {file} is an Excel file, which needs the package openpyxl: "
            "`pip install -r requirements-excel.txt`, or save it as CSV (UTF-8)"
        ) from None
    try:
        sheets = {}
        for computed in (True, False):
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=computed)
            sheets[computed] = [(sheet.title, list(sheet.iter_rows())) for sheet in book.worksheets]
            book.close()
    except Exception as error:  # zip, XML and openpyxl raise different errors
        raise ValueError(
            f"{name} {file} cannot be read as an Excel file ({type(error).__name__}: {error}); save it "
            "again as .xlsx, or as CSV (UTF-8)"
        ) from None
    filled = [
        index
        for index, (_, rows) in enumerate(sheets[True])
        if any(cell.value not in (None, "") for row in rows for cell in row)
    ]
    if not filled:
        return [], []
    title, rows = sheets[True][filled[0]]
    for row, formulas in zip(rows, sheets[False][filled[0]][1], strict=True):
        for cell, formula in zip(row, formulas, strict=True):
            if cell.value is None and formula.value is not None:
                raise ValueError(
                    f"{name} {file}: cell {formula.coordinate} of sheet {title!r} must have a value, found "
                    f"the formula {formula.value!s:.40} that was never computed; open and save the file in "
                    "Excel"
                )
    notes = [f"{name} {file.name}: sheet {title!r} was read, of {len(filled)} sheets"] if len(filled) > 1 else []
    lines = [[_text(cell) for cell in row] for row in rows]
    last = max((number for row in lines for number, cell in enumerate(row, 1) if cell.strip()), default=0)
    return [row[:last] for row in lines], notes


def _text(cell: Any) -> str:
    """Return a cell's value as Excel displays it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool) and "%" in str(cell.number_format):
        return f"{value * 100:.12g}%"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).removesuffix(" 00:00:00")  # openpyxl reads a date as midnight
