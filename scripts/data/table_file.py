"""Tables as people keep them: CSV and Excel files, read as texts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

EXCEL = (".xlsx", ".xlsm")


def read_table(file: Path, name: str, option: str) -> list[list[str]]:
    """Return the rows of a table that are not empty, the first one with the names of the columns.

    CSV: separator comma, semicolon or tab, UTF-8. Excel: the first sheet, with the values that were last
    computed; whole numbers without a decimal point, dates as 2024-01-31. Spaces around a cell do not count.

    Args:
        file: ends in .xlsx or .xlsm for Excel, else CSV.
        name: what the file is called in messages, e.g. label file.
        option: the option that names it, e.g. --labels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unreadable, or Excel without the package openpyxl.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{name} {file} does not exist; correct {option}")
    lines = _excel_rows(file, name) if file.suffix.lower() in EXCEL else csv_rows(file, name)
    return [row for row in ([cell.strip() for cell in line] for line in lines) if any(row)]


def csv_rows(file: Path, name: str) -> list[list[str]]:
    """Return all rows of a CSV file in UTF-8, separated by comma, semicolon or tab.

    Raises:
        ValueError: not UTF-8, or not readable.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{name} {file} cannot be read as UTF-8 text ({error}); save it as CSV (UTF-8)"
        ) from None
    first = text.split("\n", 1)[0]
    return list(csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count)))


def _excel_rows(file: Path, name: str) -> list[list[str]]:
    try:
        import openpyxl
    except ImportError:
        raise ValueError(
            f"{name} {file} is an Excel file, which needs the package openpyxl: "
            "`pip install -r requirements-excel.txt`, or save it as CSV (UTF-8)"
        ) from None
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # zip, XML and openpyxl each have errors of their own
        raise ValueError(
            f"{name} {file} cannot be read as an Excel file ({type(error).__name__}: {error}); save it "
            "again as .xlsx, or as CSV (UTF-8)"
        ) from None
    rows = [[_text(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    book.close()
    last = max((number for row in rows for number, cell in enumerate(row, start=1) if cell), default=0)
    return [row[:last] for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).removesuffix(" 00:00:00")  # of a date
