"""Cells of CSV files that a spreadsheet shows as texts, and never computes."""

from __future__ import annotations

import csv
import io
import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE)


def as_cell(value: Any) -> Any:
    """Return a value as a CSV file holds it: with an apostrophe before a text that would be a formula.

    Excel and LibreOffice compute what begins with =, +, - or @, also behind a tab or line break. A number is
    left as it is, whatever its sign; further apostrophes keep the way back.

    >>> [as_cell(value) for value in ("=1+1", "-0.5", "-x", "'=x", "p1", 3)]
    ["'=1+1", '-0.5', "'-x", "''=x", 'p1', 3]
    """
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


def from_cell(text: str) -> str:
    """Return the text that `as_cell` wrote; any other text as it is.

    >>> [from_cell(text) for text in ("'=1+1", "''=x", "-x", "'tis")]
    ['=1+1', "'=x", '-x', "'tis"]
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def read_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a CSV file that the bundle wrote; a row that is too short has "".

    Raises:
        ValueError: it cannot be read as a table, or names two columns alike.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            text = stream.read()
        csv.field_size_limit(max(csv.field_size_limit(), len(text)))
        lines = [[from_cell(cell) for cell in line] for line in csv.reader(io.StringIO(text, newline=""))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"{file} must be a CSV file in UTF-8, found: {error}; restore it") from None
    header = lines[0] if lines else []
    for number, name in enumerate(header):
        if name in header[:number]:
            raise ValueError(
                f"{file} must have columns of different names, found {name!r} in row 1 as column "
                f"{header.index(name) + 1} and {number + 1}; restore it"
            )
    cut = [line[: len(header)] for line in lines[1:] if line]
    return header, [dict(zip_longest(header, line, fillvalue="")) for line in cut]
