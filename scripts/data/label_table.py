"""The CSV file that gives each case its label: case,label[,patient,site,split][,clinical columns]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.data.clinical import Column, column_from_texts, name_and_unit, value_from_text
from scripts.data.nearest import listing
from scripts.data.splits import SPLITS
from scripts.data.table_file import csv_rows

FIXED = ("case", "label", "patient", "site", "split")
"""Columns with a meaning of their own; every other one is clinical."""


@dataclass(frozen=True)
class LabelTable:
    """The rows of a label file.

    Attributes:
        rows: case -> entry for dataset.json (label, patient, site, split, clinical), without what is empty.
        clinical: declarations of the clinical columns taken.
        left_out: headers of columns that were not taken.
    """

    rows: dict[str, dict]
    clinical: list[Column]
    left_out: list[str]


def read_label_table(
    file: Path,
    clinical: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
) -> LabelTable:
    """Read a label file; separator comma, semicolon or tab, UTF-8, first line the column names.

    Numbers are written with a decimal point. An empty cell is a missing value. A clinical column is a number
    when all its cells are, else a category when it has few different values, else it is left out.

    Args:
        file: the CSV file.
        clinical: columns to take as clinical values; None takes every column that is left.
        rename: header in the file -> the name it stands for, e.g. {"participant_id": "case"}.
        skip: headers that are neither fixed nor clinical.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, a column that must be there is missing, a row too long, a case listed twice,
            an unknown split, or a wanted clinical column that is missing or free text.
    """
    headers, cells = read_cells(file, rename)
    for needed in ("case", "label"):
        if needed not in headers:
            raise ValueError(
                f"label file {file} must have a column {needed!r}, found {listing(needed, headers)}; "
                "its first line must be case,label[,patient,site,split][,clinical columns]"
            )
    rest = [header for header in headers if header and header not in FIXED and header not in skip]
    columns, left_out = _columns(file, rest, cells, clinical)

    rows: dict[str, dict] = {}
    for row in cells:
        case = row["case"]
        if not case:
            raise ValueError(f"label file {file} must name a case in each row, found a row without: {row}")
        if case in rows:
            raise ValueError(f"case {case} must have one row in label file {file}, found two; remove one")
        if row.get("split") and row["split"] not in SPLITS:
            raise ValueError(
                f"case {case}: split {row['split']!r} is not among {listing(row['split'], SPLITS)} in label "
                f"file {file}"
            )
        rows[case] = {key: row[key] for key in FIXED[1:] if row.get(key)}
        values = {column["name"]: value_from_text(row[header], column) for header, column in columns.items()}
        rows[case]["clinical"] = {name: value for name, value in values.items() if value is not None}
    return LabelTable(rows, list(columns.values()), left_out)


def read_cells(
    file: Path, rename: Mapping[str, str] | None = None
) -> tuple[list[str], list[dict[str, str]]]:
    """Return the headers of a label file, and each row as header -> text; "n/a" in a .tsv (BIDS) is missing.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, or a row too long.
    """
    if not file.is_file():
        raise FileNotFoundError(f"label file {file} does not exist; correct --labels")
    lines = [row for row in csv_rows(file, "label file") if any(cell.strip() for cell in row)]
    found = [cell.strip() for cell in lines[0]] if lines else []
    headers = [(rename or {}).get(header, header) for header in found]
    return headers, [_cells(file, number, headers, line) for number, line in enumerate(lines[1:], start=2)]


def _columns(
    file: Path, headers: list[str], cells: list[dict[str, str]], clinical: Sequence[str] | None
) -> tuple[dict[str, Column], list[str]]:
    """Return the wanted clinical columns by header, and the headers that are left out."""
    by_name = {name_and_unit(header)[0]: header for header in headers}
    for name in clinical or ():
        if name not in by_name:
            raise ValueError(
                f"clinical column {name!r} is not among {listing(name, by_name)} in label file {file}; "
                "correct --clinical or the file"
            )
    columns: dict[str, Column] = {}
    for name in by_name if clinical is None else clinical:
        column = column_from_texts(by_name[name], [row[by_name[name]] for row in cells])
        if column is not None:
            columns[by_name[name]] = column
        elif clinical is not None:
            raise ValueError(
                f"clinical column {name!r} must be numbers or few different texts, found free text or "
                f"nothing in label file {file}; take it out of --clinical"
            )
    return columns, [header for header in headers if header not in columns]


def _cells(file: Path, number: int, headers: list[str], line: list[str]) -> dict[str, str]:
    if len(line) > len(headers):
        raise ValueError(
            f"label file {file}: row {number} must have {len(headers)} cells, found {len(line)}; "
            "put texts with a separator in quotes"
        )
    missing = {"", "n/a"} if file.suffix.lower() == ".tsv" else {""}
    texts = ["" if cell.strip() in missing else cell.strip() for cell in line]
    return dict(zip(headers, [*texts, *[""] * len(headers)], strict=False))
