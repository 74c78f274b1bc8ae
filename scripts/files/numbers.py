# SPDX-License-Identifier: Apache-2.0
"""Numbers as people write them: 1.234,5, <0.5, 12 mg/dl, 45%."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_CELL = re.compile(
    r"(?P<limit>[<>≤≥~≈]=?|=)?\s*(?P<sign>[-+−–]?)\s*"
    r"(?P<digits>\d[\d.,'’ ]*|[.,]\d+)(?P<power>[eE][-+]?\d+)?\s*(?P<unit>[^\W\d_].*|[%‰°/μΩ].*)?"
)
_NO_UNIT = re.compile(r"(?:^|[\s+–-])\d|[,;]|^/\d|^[xX×]\d|^[a-zA-Z]\d\d")
"""If it matches what follows a number, the cell is text ("2 cm x 3 cm", "2x3 cm", "5 of 8", "1h30")."""
_POWER_OF_TEN = re.compile(r"[x×*] ?10\^?[1-9]\d*.*")
_GROUPS = {mark: re.compile(rf"\d{{1,3}}(?:\{mark}\d{{3}})+") for mark in ".,"}


@dataclass(frozen=True)
class Number:
    """A number as written, before it is known what its points and commas mean."""

    text: str  # the whole cell
    sign: int  # -1 or 1
    digits: str  # with points and commas, but without the spaces and apostrophes that separate thousands
    power: str  # e.g. "e-3"; empty if none
    limit: str  # e.g. "<"; empty if none
    unit: str  # what follows the number; empty if none

    @property
    def mark(self) -> str:
        """The decimal mark if unambiguous; "?," or "?." for one like 1,234 that may be either; else empty."""
        marks = [sign for sign in self.digits if sign in ".,"]
        if not marks:
            return ""
        last = marks[-1]
        if len(set(marks)) == 2:
            return last
        if len(marks) > 1:
            return "," if last == "." else "."
        head = self.digits.split(last)[0]
        doubtful = _GROUPS[last].fullmatch(self.digits) and not head.startswith("0") and not self.power
        return f"?{last}" if doubtful else last

    def value(self, decimal: str) -> float:
        """Return the number, with "." or "," as the decimal mark."""
        plain = self.digits.replace("," if decimal == "." else ".", "").replace(decimal, ".")
        return self.sign * float(plain + self.power)


def number(text: str) -> Number | None:
    """Return the number in a cell, or None if it holds none.

    >>> number("<0,5 mg/dl").limit, number("1 234.5").digits, number("12.03.2019"), number("2 cm x 3 cm")
    ('<', '1234.5', None, None)
    """
    match = _CELL.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if match is None:
        return None
    written, unit = match["digits"].strip(), (match["unit"] or "").strip()
    if _NO_UNIT.search(unit) and not _POWER_OF_TEN.fullmatch(unit):
        return None
    digits = re.sub("[ '’]", "", written)
    if digits != written and not re.fullmatch(r"\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?", written):
        return None
    sign = -1 if match["sign"] in {"-", "−", "–"} else 1
    found = Number(text, sign, digits, match["power"] or "", match["limit"] or "", unit)
    return found if _well_grouped(found) else None


def _well_grouped(found: Number) -> bool:
    """Whether points and commas can be separators of thousands and a decimal mark: not in 12.03.2019 or 1,2,3."""
    kinds = {sign for sign in found.digits if sign in ".,"}
    if len(kinds) == 2:
        last = max(found.digits.rfind("."), found.digits.rfind(","))
        (other,) = kinds - {found.digits[last]}
        return bool(_GROUPS[other].fullmatch(found.digits[:last]))
    mark = next(iter(kinds), "")
    return not mark or found.digits.count(mark) == 1 or bool(_GROUPS[mark].fullmatch(found.digits))


def decimal_mark(numbers: Iterable[Number], elsewhere: str = "", custom: str = "") -> str:
    """Return the decimal mark of a column: "." or ",".

    Args:
        elsewhere: the mark that the table's other columns show without doubt; empty if there is none.
        custom: the meaning of a comma if nothing else decides: "," where semicolons separate the cells.

    Raises:
        ValueError: cells contradict each other, or 1,234 may be 1.234 as well as 1234.

    >>> decimal_mark([number("1,234"), number("0,5")]), decimal_mark([number("1.234")])
    (',', '.')
    """
    found = [one for one in numbers if one.mark]
    sure = {one.mark: one.text for one in found if one.mark in (".", ",")}
    if len(sure) == 2:
        raise ValueError(f"{sure[',']!r} with a decimal comma and {sure['.']!r} with a decimal point")
    if sure or elsewhere:
        return next(iter(sure), elsewhere)
    doubtful = {one.mark: one for one in found}
    if len(doubtful) == 2:
        raise ValueError(f"{doubtful['?,'].text!r} with a comma and {doubtful['?.'].text!r} with a point")
    comma = doubtful.get("?,")
    if comma is not None and not custom:
        raise ValueError(f"{comma.text!r}, which may be {comma.value(',')!r} or {comma.value('.'):.0f}")
    return custom if comma is not None else "."


def decimal_mark_of_all(columns: Iterable[Iterable[str]]) -> str:
    """Return the decimal mark of the unambiguous columns of a table; empty if there are none or they disagree."""
    marks = set()
    for texts in columns:
        cells = [one for text in texts if text and (one := number(text)) is not None]
        marks |= {one.mark for one in cells if one.mark in (".", ",")}
    return marks.pop() if len(marks) == 1 else ""
