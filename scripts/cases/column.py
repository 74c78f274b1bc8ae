# SPDX-License-Identifier: Apache-2.0
"""From the cells of a table column to its kind, unit and values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.cases.clinical import MOST_CATEGORIES, Column, name_and_unit
from scripts.cases.table import merged
from scripts.files.numbers import Number, decimal_mark, number
from scripts.files.plain_text import note

# fmt: off
MISSING = frozenset([
    "", "na", "n/a", "n.a.", "n.a", "n/d", "n.d.", "nd", "nan", "null", "nil", "<na>", "#na", "-", "--",
    "---", "–", "—", ".", "..", "?", "??", "unknown", "unk", "missing", "not available", "not applicable",
    "not known", "not done", "not reported", "not recorded", "no data", "k.a.", "k. a.", "unbekannt",
    "inconnu", "inconnue", "desconocido", "不明", "未知", "不详",
])
# fmt: on
"""Texts, in lower case, that mean a missing value; a dash does not where the column also has a plus."""
_EXCEL_ERROR = re.compile(r"#(N/A|¡?[^\W\d_a-z]{2,}(/0)?[!?]?)")
"""#N/A, #VALUE!, #WERT!, #NV, ...: Excel's error values, in any language."""
CODES = frozenset([-1.0, -9.0, -99.0, -999.0, -9999.0, 9.0, 99.0, 999.0, 9999.0, 99999.0, 88.0, 888.0])
"""Numbers that often code a missing value. Reported where they lie far from all others, but never dropped."""
_CODE = re.compile(r"(-9{1,4}|9{2,5})([.,]0+)?")
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}([ T].*)?")
MOSTLY = 0.75  # share of numeric cells from which a column is numeric with typing errors, not categorical
_GRADE = re.compile(r"[0-9]{1,2} ?[a-zA-Z+]{1,2}|[<>≥≤]? ?\d{1,2}\+?")
"""Further levels of a scale beside plain numbers: 3a, 3+."""
_SHORT_UNITS = frozenset([
    "mm", "cm", "dm", "m", "km", "ml", "mL", "dl", "dL", "cl", "cL", "l", "L", "fl", "fL", "g", "kg", "mg",
    "ug", "ng", "pg", "s", "h", "d", "y", "yr", "wk", "mo", "ms", "U", "IU", "kU", "mU", "K", "C", "Pa",
    "Hz", "HU", "Gy", "Sv", "V", "J", "mM", "nM", "pM", "cc",
])  # fmt: skip
_FILE = re.compile(
    r".*[\\/].*\.[A-Za-z]\w{0,4}(\.(gz|bz2|zst))?|\S.*\.(nii|mgz|mgh|mha|mhd|nrrd|nhdr|hdr|img|dcm|ima|png|jpe?g|tiff?|"
    r"bmp|npy|npz|h5|csv|tsv|xlsx?|txt|pdf|json|zip|tar)(\.(gz|bz2|zst))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ColumnValues:
    """The content of a table column."""

    column: Column | None  # its declaration; None if the column is not used
    values: list[float | str | None] = field(default_factory=list)  # one per row, None if missing
    notes: list[str] = field(default_factory=list)  # lines that tell the user how cells were interpreted
    reason: str = ""  # why the column is not used


def is_missing(text: str) -> bool:
    """Return whether a text stands for a missing value.

    >>> is_missing("N/A"), is_missing("#WERT!"), is_missing("none"), is_missing("0")
    (True, True, False, False)
    """
    return text.strip().casefold() in MISSING or _EXCEL_ERROR.fullmatch(text.strip()) is not None


def is_code(text: str) -> bool:
    """Return whether a number among words is one that usually codes a missing value.

    >>> is_code("-999"), is_code("99.0"), is_code("9"), is_code("-1")
    (True, True, False, False)
    """
    return _CODE.fullmatch(text.strip()) is not None


def is_file(text: str) -> bool:
    """Return whether a text is the path of a file of any type.

    >>> is_file("data/p1/art.mgz"), is_file("12 mg/dl"), is_file("n/a"), is_file("scan.dcm")
    (True, False, False, True)
    """
    return _FILE.fullmatch(text.strip()) is not None


def read_column(
    header: str, texts: Sequence[str], rows: Sequence[str], elsewhere: str = "", custom: str = ""
) -> ColumnValues:
    """Read a column as numbers if all cells are, otherwise as a category if it has few distinct values.

    - A cell in `MISSING` is a missing value, like an empty one.
    - Numbers may have a decimal comma, separators of thousands, a limit (<0.5 is read as 0.5) and a unit, which
      may also follow the header in brackets; all cells of a column must agree.
    - Categories that differ only in letter case or spaces are merged.
    - Columns of file paths, dates, or numbers with typing errors among them are not used.

    Args:
        elsewhere, custom: hints about the decimal mark, see `decimal_mark`.

    Raises:
        ValueError: both decimal points and decimal commas, or different units; the message says which.

    >>> read_column("age [years]", ["61", "NA", "47,5"], ["a", "b", "c"]).values
    [61.0, None, 47.5]
    >>> read_column("sex", ["M", "F", "m", "M"], ["a", "b", "c", "d"]).column
    {'name': 'sex', 'kind': 'category', 'values': ['F', 'M']}
    """
    known = [not is_missing(text) or (text == "-" and any("+" in other for other in texts)) for text in texts]
    filled = [text for text, there in zip(texts, known, strict=True) if there]
    name, unit = name_and_unit(header)
    if not filled:
        return ColumnValues(None, reason="empty")
    if sum(map(is_file, filled)) > len(filled) / 2:
        return ColumnValues(None, reason="paths of files")
    if sum(_DATE.fullmatch(text) is not None for text in filled) > len(filled) / 2:
        return ColumnValues(None, reason="dates")
    codes = Counter(text for text, there in zip(texts, known, strict=True) if text and not there)
    notes = (
        [f"{name}: {', '.join(f'{text!r} ({count})' for text, count in codes.items())} counts as missing"]
        if codes
        else []
    )
    cells = [number(text) if there else None for text, there in zip(texts, known, strict=True)]
    found = [cell for cell in cells if cell is not None]
    if len(found) == len(filled) and not _is_scale(found):
        return read_numbers(name, unit, cells, rows, notes, elsewhere, custom)
    others = [
        (row, text) for row, text, there, cell in zip(rows, texts, known, cells, strict=True) if there and cell is None
    ]
    if len(found) >= MOSTLY * len(filled) and not all(_GRADE.fullmatch(text) for _, text in others):
        what = note("", [f"{text!r} (case {row})" for row, text in others]).removeprefix(": ")
        return ColumnValues(None, reason=f"numbers except for {what}; empty or correct such cells")
    spelling, lines = merged(filled, name)
    values = [spelling[text] if there else None for text, there in zip(texts, known, strict=True)]
    if len(set(spelling.values())) > MOST_CATEGORIES:
        return ColumnValues(None, reason="free text")
    column = {"name": name, "kind": "category", "values": sorted(set(spelling.values()))}
    lines += [
        f"warning: {name}: {text!r} ({filled.count(text)}) is a category of its own; if it means missing, "
        "empty these cells"
        for text in filter(is_code, column["values"])
    ]
    return ColumnValues(column, list(values), notes + lines)


def _is_scale(found: Sequence[Number]) -> bool:
    """Whether numbers are levels of a scale (1a, 2nd): followed by one or two letters that are not a unit."""
    return any(re.fullmatch(r"[A-Za-z]{1,2}", one.unit) and one.unit not in _SHORT_UNITS for one in found)


def read_numbers(
    name: str,
    unit: str | None,
    cells: Sequence[Number | None],
    rows: Sequence[str],
    notes: list[str],
    elsewhere: str,
    custom: str,
) -> ColumnValues:
    """Return the column of numeric cells, None where missing; see `read_column`."""
    found = [cell for cell in cells if cell is not None]
    try:
        decimal = decimal_mark(found, elsewhere, custom)
    except ValueError as error:
        raise ValueError(
            f"clinical column {name!r} must have one way of writing numbers, found {error}; write all with a "
            "decimal point and no mark between thousands"
        ) from None
    unit = _unit(name, unit, cells, rows)
    values: list[float | str | None] = [None if cell is None else cell.value(decimal) for cell in cells]
    comma = next((one for one in found if "," in one.digits), None)
    point = next((one for one in found if "." in one.digits and decimal == ","), None)
    grouped = next((one for one in found if one.mark == "?." and custom == ","), None)
    doubtful = point or (comma if comma and decimal == "." else None) or comma or grouped
    if doubtful is not None:
        notes = [*notes, f"{name}: {doubtful.text!r} is read as {doubtful.value(decimal):.12g}"]
    limits = [f"{cell.text} ({row})" for cell, row in zip(cells, rows, strict=True) if cell and cell.limit]
    if limits:
        notes = [*notes, note(f"{name}: limits are taken as the value", limits)]
    known = sorted(float(value) for value in values if value is not None)
    for code, count in _codes(known):
        notes = [
            *notes,
            f"warning: {name}: {code:g} ({count} cases) lies far from all others and is taken as it is; if "
            "it means missing, empty these cells",
        ]
    return ColumnValues({"name": name, "kind": "number"} | ({"unit": unit} if unit else {}), values, notes)


def _unit(name: str, unit: str | None, cells: Sequence[Number | None], rows: Sequence[str]) -> str | None:
    """Return the unit of a numeric column, found in its header or its cells."""
    first: dict[str, str] = {plain_unit(unit): f"{unit!r} in the header"} if unit else {}
    for cell, row in zip(cells, rows, strict=True):
        if cell is not None and cell.unit:
            first.setdefault(plain_unit(cell.unit), f"{cell.text!r} (case {row})")
            unit = unit or cell.unit
    bare = [cell for cell in cells if cell is not None and not cell.unit]
    shares = [cell for cell in bare if cell.digits.startswith(("0.", "0,", ".", ","))]
    if len(first) > 1 or (unit == "%" and shares and len(bare) < sum(cell is not None for cell in cells)):
        found = list(first.values())[:2] if len(first) > 1 else [*first.values(), f"{shares[0].text!r} without %"]
        raise ValueError(
            f"clinical column {name!r} must have one unit, found {' and '.join(found)}; convert the values, "
            "and write the unit into the header in brackets"
        )
    return unit


def plain_unit(unit: str) -> str:
    """Return a unit without differences of spelling: µg/mL becomes ug/ml."""
    return re.sub(r"[\s.]", "", unit.casefold()).replace("µ", "u").replace("μ", "u")


def _codes(known: Sequence[float]) -> list[tuple[float, int]]:
    """Return likely codes for missing values, with counts: extremes of `CODES` that lie far from all others."""
    found = []
    for code in (known[:1] or [0])[0], (known[-1:] or [0])[0]:
        others = [value for value in known if value != code]
        if code not in CODES or len(others) < 5:
            continue
        low, high = others[0], others[-1]
        away = low - code if code < low else code - high
        if away > max(high - low, 1e-9) or (code < 0 <= low):
            found.append((code, len(known) - len(others)))
    return found
