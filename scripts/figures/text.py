# SPDX-License-Identifier: Apache-2.0
"""Fonts for a text (matplotlib's own, else the first system font that has a character), and shortening of names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

BASE = "DejaVu Sans"  # Comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew and many symbols
READABLE = ("sans", "gothic", "hei", "kai", "ui", "fallback")
"""Words in the names of sans-serif fonts, which are preferred."""
VARIATIONS = range(0xFE00, 0xFE10)
"""Characters that request a variant of the one before, e.g. a coloured emoji, which figures cannot draw."""
PROBE_SIZE = 12.0  # points


def plain(text: str) -> str:
    """Return a name as it is drawn: in one line, with composed characters.

    >>> plain("grade\\n2 "), plain("u" + chr(0x308)) == chr(0xFC)
    ('grade 2', True)
    """
    composed = unicodedata.normalize("NFC", text)
    kept = (" " if unicodedata.category(c) == "Cc" else c for c in composed if ord(c) not in VARIATIONS)
    return " ".join("".join(kept).split())


def drawable(text: str) -> bool:
    """Return whether every character is in some font of this machine.

    >>> drawable("Δ β-catenin"), drawable("\\U0010fffd")
    (True, False)
    """
    return all(_family(character) is not None for character in text)


def families(text: str) -> list[str]:
    """Return the font families that draw a text, the base first; characters that no font has are ignored."""
    found = {family for family in map(_family, text) if family}
    return [BASE, *sorted(found - {BASE})]


@cache
def _family(character: str) -> str | None:
    """Return the font family that draws a character, or None; cached for the process."""
    if character.isspace() or _has(_base(), character):
        return BASE
    for entry in (*_system_fonts(), *_new_fonts()):
        if _has(entry, character):
            return entry.name
    return None


@cache
def _base() -> FontEntry:
    from matplotlib.font_manager import fontManager

    upright = (entry for entry in fontManager.ttflist if entry.name == BASE and entry.style == "normal")
    return min(upright, key=lambda entry: abs(int(entry.weight) - 400))


@cache
def _system_fonts() -> tuple[FontEntry, ...]:
    """Return the upright system fonts that matplotlib knows, sans-serif ones first."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import fontManager

    own = Path(get_data_path())  # has fonts for formulas, and one whose glyphs are boxes
    return _in_order(entry for entry in fontManager.ttflist if not Path(entry.fname).is_relative_to(own))


@cache
def _new_fonts() -> tuple[FontEntry, ...]:
    """Return the fonts installed since matplotlib last made its list, and add them to it."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    before = len(fontManager.ttflist)
    for file in sorted(set(findSystemFonts()) - known):
        try:
            fontManager.addfont(file)
        except Exception:  # a file that cannot be read as a font draws nothing
            continue
    return _in_order(fontManager.ttflist[before:])


def _in_order(entries: Iterable[FontEntry]) -> tuple[FontEntry, ...]:
    def rank(entry: FontEntry) -> tuple[Any, ...]:
        name = entry.name.lower()
        return (not any(word in name for word in READABLE), "mono" in name, entry.weight != 400, name, entry.fname)

    upright = (entry for entry in entries if entry.style == "normal" and entry.name != BASE)
    return tuple(sorted(upright, key=rank))


def _has(entry: FontEntry, character: str) -> bool:
    """Return whether a font draws a character, neither as its symbol for missing glyphs nor as nothing."""
    if ord(character) not in _characters(entry):
        return False
    font = _font(entry)
    font.set_size(PROBE_SIZE, 72)
    glyph = font.load_char(ord(character))
    return glyph.width > 0 or unicodedata.category(character) in ("Cf", "Mn", "Me", "Zs")


@cache
def _characters(entry: FontEntry) -> frozenset[int]:
    from matplotlib.ft2font import FaceFlags

    try:
        font = _font(entry)
        if FaceFlags.SCALABLE not in font.face_flags:  # bitmaps of one size, which matplotlib cannot draw
            return frozenset()
        return frozenset(font.get_charmap())
    except Exception:  # a damaged file draws nothing
        return frozenset()


def _font(entry: FontEntry) -> Any:
    from matplotlib.font_manager import FontPath, get_font

    return get_font(FontPath(entry.fname, entry.index))


LONGEST = 24  # Columns that a name may take in a figure, see `columns`


def columns(text: str) -> int:
    """Return how many columns a text takes: 2 per Chinese, Japanese or Korean character, else mostly 1.

    >>> columns("low"), columns("良性"), columns("a" + chr(0x200E))
    (3, 4, 1)
    """

    def width(character: str) -> int:
        if unicodedata.category(character) in ("Cf", "Mn", "Me"):
            return 0
        return 2 if unicodedata.east_asian_width(character) in "WF" else 1

    return sum(map(width, text))


def shorten(name: str, length: int = LONGEST) -> str:
    """Shorten a long name in the middle, keeping both ends, cut at whole words if that leaves enough of them.

    >>> shorten("hepatocellular carcinoma, poorly differentiated", 20)
    'hepatocell…rentiated'
    >>> shorten("moderately differentiated carcinoma", 24)
    'moderately…carcinoma'
    """
    if columns(name) <= length:
        return name
    head, tail = "", ""
    for character in name:
        if columns(head + character) > length // 2:
            break
        head += character
    for character in reversed(name):
        if columns(character + tail) > length - length // 2 - 1:
            break
        tail = character + tail
    first, last = head.rfind(" "), tail.find(" ")
    if not name[len(head) :].startswith(" ") and columns(head[: max(first, 0)]) * 4 >= length:
        head = head[:first]
    if not name[: -len(tail)].endswith(" ") and columns(tail[last + 1 :]) * 4 >= length and last >= 0:
        tail = tail[last + 1 :]
    return f"{head.strip()}…{tail.strip()}"


def wrap(name: str, width: int = 18) -> str:
    """Break a long name into lines: after a space, underscore, hyphen or slash, else within a word.

    >>> wrap("focal nodular hyperplasia").splitlines()
    ['focal nodular', 'hyperplasia']
    >>> wrap("late_arterial_35s", 12).splitlines()
    ['late_', 'arterial_35s']
    """
    lines, line = [], ""
    for word in re.findall(r"[^ _\-/…]*[ _\-/…]|[^ _\-/…]+", name):
        if columns((line + word).strip()) > width:
            lines.append(line.strip())
            line = ""
        for character in word:
            if columns((line + character).strip()) > width:
                lines.append(line.strip())
                line = ""
            line += character
    return "\n".join(one for one in [*lines, line.strip()] if one)
