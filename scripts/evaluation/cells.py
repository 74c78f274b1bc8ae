"""Cells of CSV files that a spreadsheet shows as texts, and never computes."""

from __future__ import annotations

import re
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
