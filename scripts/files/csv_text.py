# SPDX-License-Identifier: Apache-2.0
"""The text of a CSV file, whatever its encoding and separator."""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

SEPARATORS = "\t;|,"
"""Rarest in text and numbers first: of two that fit equally well, the first one wins."""
LONGEST_RUN = 2
"""Most consecutive non-ASCII letters in a Western European word; longer runs are bytes of another alphabet."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_EAST_ASIAN = {
    "GB18030 (Chinese)": ("gb18030", "gb2312", {0xA1, 0xA3, *range(0xB0, 0xD8)}),
    "CP949 (Korean)": ("cp949", "euc_kr", {0xA1, 0xA3, *range(0xB0, 0xC9)}),
    "EUC-JP (Japanese)": ("euc_jp", "euc_jp", {0xA1, *range(0xA3, 0xA6), *range(0xB0, 0xD0)}),
    "Big5 (Chinese)": ("big5", "big5", set(range(0xA1, 0xC7))),
    "Shift-JIS (Japanese)": ("cp932", "cp932", {0x81, 0x82, 0x83, *range(0x88, 0x98)}),
}
"""Name -> encoding, its oldest form, and the lead bytes of the common characters in that form."""
MOSTLY_USUAL = 0.6
"""Share of common characters from which a text counts as East Asian. Short word lists measured .67 or more in
the right encoding, and .4 or less where the text was in another alphabet."""
FEWEST_SYLLABLES = 8
"""Fewest distinct characters, all common in Korean, that make a text Korean; in Chinese text half are not common."""
_LONE = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f](?![^\x00-\x7f])|(?<![^\x00-\x7f])[^\x00-\x7f](?=[A-Za-z])")
"""A single foreign character beside a Latin letter; an East Asian reading merges two accented letters into one."""
_SIGNS = set("°µ²³±·×÷½¼¾€£§«»‘’“”–—…•´¿¡ª\u00a0®©™")
"""Characters that are not letters but common in Western European tables."""


def decode(content: bytes) -> tuple[str, str]:
    """Return the text of a file, and the assumed encoding if the file does not state it ("" otherwise).

    Tried in order: the byte order mark; UTF-16 if every second byte is zero; UTF-8; the encoding of `_EAST_ASIAN`
    that gives mostly common characters; Windows-1252 (a superset of Latin-1) if it gives words of Western
    European letters.

    Raises:
        ValueError: none of them fits; the message says what was found.

    >>> decode("Müller".encode("cp1252")), decode("Müller".encode("utf-16"))
    (('Müller', 'Windows-1252'), ('Müller', ''))
    >>> decode("男,女".encode("gb18030"))
    ('男,女', 'GB18030 (Chinese)')
    """
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding), ""
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = content[offset:400:2]
        if len(half) > 1 and half.count(0) > 0.8 * len(half):
            return content.decode(encoding), ""
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        place = error.start
    east_asian = max(_EAST_ASIAN, key=lambda name: _usual(content, name))  # a tie goes to the first
    if _usual(content, east_asian) >= MOSTLY_USUAL:
        return content.decode(_EAST_ASIAN[east_asian][0]), east_asian
    foreign = re.findall(rb"[\x80-\xff]+", content)
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    amid = re.search(r"[²³¹±×÷½¼¾£§]\w", text)  # mm³ is Western European, ³agodny is not
    strange = {sign for sign in text if sign > "\x7f" and sign not in _SIGNS and not sign.isalpha()} | {"ƒ"} & set(text)
    if not text or strange or amid or max(map(len, foreign)) > LONGEST_RUN:
        line = content.count(b"\n", 0, place) + 1
        raise ValueError(
            f"byte {content[place]:#04x} in line {line} is neither UTF-8 nor Western European or East Asian text"
        )
    return text, "Windows-1252"


def _usual(content: bytes, name: str) -> float:
    """Return the share of common characters among the foreign ones in an East Asian encoding, less the lone ones."""
    encoding, oldest, first_bytes = _EAST_ASIAN[name]
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    foreign = [sign for sign in text if sign > "\x7f"]
    usual = sum((sign.encode(oldest, "ignore") or b" ")[0] in first_bytes for sign in foreign)
    if oldest == "euc_kr":  # a few Chinese characters may pass for Korean
        usual += 1 if usual == len(foreign) and len(set(foreign)) >= FEWEST_SYLLABLES else 0
    return (usual - len(_LONE.findall(text))) / len(foreign)


def split_rows(text: str) -> tuple[list[list[str]], str]:
    """Return the cells of a CSV text, row by row and unchanged, and the separator.

    The separator is the comma, semicolon, tab or bar with which most rows have as many cells as the first
    row. A first line `sep=;`, as Excel writes it, takes precedence.

    Raises:
        ValueError: a quotation mark is never closed.

    >>> split_rows("case;size, mm\\np1;1,5\\n")
    ([['case', 'size, mm'], ['p1', '1,5']], ';')
    """
    text = text.removeprefix("\ufeff").replace("\x00", "")
    said = re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE)
    if said:
        text, separator = text[said.end() :], said.group(1)
    else:
        separator = max(SEPARATORS, key=lambda separator: _regular(one_line(_rows(text, separator))[0]))
    try:
        list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise ValueError("a quotation mark is never closed") from None
    return _rows(text, separator), separator


def _rows(text: str, separator: str) -> list[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return [[from_cell(cell) for cell in line] for line in lines]


def one_line(lines: Iterable[Sequence[str]]) -> tuple[list[list[str]], list[str]]:
    r"""Return rows with every cell on one line and stripped, and the places of cells that had several lines.

    Empty rows are dropped and not counted.

    >>> one_line([["case", "age\n[years]"], ["", " "], ["p1 ", "60"]])
    ([['case', 'age [years]'], ['p1', '60']], ['row 1, column 2'])
    """
    rows, broken = list[list[str]](), list[str]()
    for line in lines:
        row = [clean(cell) for cell in line]
        if any(row):
            rows.append(row)
            several = [len(cell.strip().splitlines()) > 1 for cell in line]
            broken += [f"row {len(rows)}, column {n}" for n, yes in enumerate(several, 1) if yes]
    return rows, broken


def _regular(rows: list[list[str]]) -> int:
    """Return how many rows have as many cells as the first row; 0 if that has a single cell."""
    width = len(rows[0]) if rows else 0
    return sum(len(row) == width for row in rows) if width > 1 else 0


def clean(text: str) -> str:
    """Return a text on one line, with composed letters (NFC) and each run of white space as one space.

    A formula that is only a quoted text, such as ="001" (which keeps leading zeros in Excel), gives that text.

    >>> clean(" a\\n[years]\\u00a0 "), clean("u\\u0308") == "\\u00fc"
    ('a [years]', True)
    """
    text = re.sub("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]", "", text)  # zero width
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return text[2:-1] if re.fullmatch('="[^"]*"', text) else text


_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?(inf|nan)", re.IGNORECASE)


def as_cell(value: Any) -> Any:
    """Return a value as it is written to a CSV file, with an apostrophe before text that would be a formula.

    Excel and LibreOffice evaluate text that begins with =, +, - or @, even after a tab or line break. Numbers
    stay as they are, whatever their sign; leading apostrophes are escaped, so that `from_cell` is the inverse.

    >>> [as_cell(value) for value in ("=1+1", "-0.5", "-x", "'=x", "p1", 3)]
    ["'=1+1", '-0.5', "'-x", "''=x", 'p1', 3]
    """
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


def from_cell(text: str) -> str:
    """Undo `as_cell`; any other text is returned unchanged.

    >>> [from_cell(text) for text in ("'=1+1", "''=x", "-x", "'tis")]
    ['=1+1', "'=x", '-x', "'tis"]
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def read_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a CSV file that the bundle wrote; short rows are filled up with ""."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = _rows(stream.read(), ",")
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
