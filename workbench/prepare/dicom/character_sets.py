# SPDX-License-Identifier: Apache-2.0
"""The character set of the texts of a header, where the declared one cannot be right."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

TEXTS = ("PatientID", "PatientName", "SeriesDescription", "ProtocolName", "ContrastBolusAgent")
WESTERN, UTF_8 = "ISO_IR 100", "ISO_IR 192"
SINGLE = ("ISO_IR 6", "ISO 2022 IR 6", WESTERN, "ISO 2022 IR 100", UTF_8)
"""Many programs declare these whatever encoding the texts have."""
WITHOUT_ESCAPE = {"ISO 2022 IR 58": "GB18030", "ISO 2022 IR 149": "ISO 2022 IR 149"}
"""Declared sets that need an escape sequence -> the encoding of texts that lack it."""
NAMES = {UTF_8: "UTF-8 (ISO_IR 192)", WESTERN: "Western European (ISO_IR 100)"}


def check_character_set(name: str) -> str:
    """Return the name of a character set of DICOM."""
    try:
        from pydicom.charset import python_encoding
    except ImportError:  # whoever reads the files reports this
        return name
    if name not in python_encoding or not name:
        known = ", ".join(one for one in sorted(python_encoding) if one)
        raise ValueError(f"character_set must be one of {known}, found {name!r}")
    return name


def mend(dataset: Any, undeclared: str = "") -> list[str]:
    """Declare the character set that fits the bytes of the texts, and return what was assumed.

    A declared set is trusted where it explains the bytes, except the Western ones and UTF-8, which programs
    declare blindly. Otherwise text that is valid UTF-8 is read as such, since other text hardly ever is, and
    the rest is read as `undeclared`.

    Args:
        dataset: pydicom dataset whose texts have not been accessed yet.
        undeclared: character set of texts whose header names none or a wrong one; "" is Western European.
    """
    raw = [getattr(dataset.get_item(name), "value", None) for name in TEXTS if name in dataset]
    foreign = [text for text in raw if isinstance(text, bytes) and not text.isascii()]
    if not foreign:
        return []
    value = dataset.get("SpecificCharacterSet") or "ISO_IR 6"
    declared = [value] if isinstance(value, str) else [str(one) for one in value]
    if b"\x1b" not in b"".join(foreign):
        silent = [other for name, other in WITHOUT_ESCAPE.items() if name in declared]
        if silent and _fits(silent[0], foreign):
            _declare(dataset, silent[0])
            return []
    if not set(declared) <= set(SINGLE) and _explain(value, foreign):
        return []
    hardly_western = any(map(_hardly_western, foreign))
    given = undeclared if hardly_western or WESTERN not in declared else ""
    used = next(one for one in (UTF_8, given, WESTERN) if one and _fits(one, foreign))
    doubtful = used == WESTERN and hardly_western
    if [used] != declared:
        _declare(dataset, used)
    elif not doubtful:
        return []
    none = set(declared) <= {"ISO_IR 6", "ISO 2022 IR 6", ""}
    what = "no declared character set" if none else f"a wrong character set ({', '.join(filter(None, declared))})"
    if doubtful:
        return [
            f"texts of {what}, read as {NAMES[WESTERN]}, which they hardly are; name theirs in the rules, "
            "for Chinese for instance by 'character_set: GB18030'"
        ]
    return [f"texts of {what}, read as {NAMES.get(used, used)}"]


def _declare(dataset: Any, name: str) -> None:
    from pydicom.charset import python_encoding

    dataset.set_original_encoding(*dataset.original_encoding, [python_encoding[name]])
    dataset.SpecificCharacterSet = name


def _fits(name: str, texts: Sequence[bytes]) -> bool:
    """Whether texts can be in a character set of DICOM."""
    from pydicom.charset import python_encoding

    return all(_decodes(text, python_encoding[name]) for text in texts)


def _explain(declared: Any, texts: Sequence[bytes]) -> bool:
    """Whether pydicom knows the declared sets, and one of them, or an escape sequence, explains each text."""
    from pydicom.charset import convert_encodings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            encodings = convert_encodings(declared)
        except (LookupError, UserWarning):
            return False
    return all(b"\x1b" in text or any(_decodes(text, one) for one in encodings) for text in texts)


def _decodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def _hardly_western(text: bytes) -> bool:
    r"""Whether a text has a word without any ASCII letter, or four bytes beyond ASCII in a row.

    >>> texts = ("Grö\xdfe^É", "latin1"), ("张^三", "gb18030")
    >>> [_hardly_western(text.encode(code)) for text, code in texts]
    [False, True]
    """
    word = rb"(?<![^\s^=\\])[\x80-\xff]{2,}(?![^\s^=\\])"
    return bool(re.search(word + rb"|[\x80-\xff]{4}", text))
