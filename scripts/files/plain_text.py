# SPDX-License-Identifier: Apache-2.0
"""Text that fits on one line of a message, and names that a configuration returns unchanged."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


MOST_WRONG = 5  # names listed in one error


def is_plain(text: str) -> bool:
    r"""Return whether a text has no line break, no other control character and no half of a surrogate pair.

    Marks that reverse the writing direction count as control characters: they make one name look like another.

    >>> is_plain("Größe 腫瘍"), is_plain("p1\n"), is_plain("\ud800"), is_plain("p\u202e1")
    (True, False, False, False)
    """
    return _CONTROL.search(text) is None


def check_names_are_text(names: Iterable[str], what: str) -> None:
    """Refuse file and folder names that are not one line of text, e.g. from a system without UTF-8."""
    wrong = [repr(shown(name)).replace("\\\\", "\\") for name in names if not is_plain(name)]
    if wrong:
        raise ValueError(
            f"{what} must have names that are UTF-8 text in one line, found {', '.join(wrong[:MOST_WRONG])}"
            f"{f' and {len(wrong) - MOST_WRONG} more' if len(wrong) > MOST_WRONG else ''}; rename them "
            "(files from another system: `convmv -f latin1 -t utf8`)"
        )


def shown(text: str) -> str:
    r"""Return a text in printable form, with control characters and bytes that are not UTF-8 escaped.

    >>> shown("M\udcfcller"), shown("Müller"), shown("\x1b[2J\u202e")
    ('M\\xfcller', 'Müller', '\\x1b[2J\\u202e')
    """

    def escape(found: re.Match[str]) -> str:
        code = ord(found.group())
        code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _CONTROL.sub(escape, text)


_SPOKEN = {"#": "number ", "$": "", "@": "at ", "%": "percent "}


def is_safe_name(text: str) -> bool:
    """Return whether a configuration returns a name unchanged.

    In a configuration MONAI turns ``#`` into ``::``, executes what starts with ``$``, looks up what starts
    with ``@`` or ``%``, and treats ``_target_`` and the like as instructions.

    >>> [name for name in ("grade #2", "$x", "@home", "%fat", "a::b", "_target_", "50% fat", "it's", "no")
    ...  if is_safe_name(name)]
    ['50% fat', "it's", 'no']
    """
    return not ("#" in text or "::" in text or text[:1] in _SPOKEN or re.fullmatch(r"_\w+_", text))


def safe_name(text: str) -> str:
    """Return the nearest name that a configuration returns unchanged.

    >>> [safe_name(name) for name in ("grade #2", "# of lesions", "$x", "% fat", "a::b", "_target_")]
    ['grade 2', 'number of lesions', 'x', 'percent fat', 'a:b', 'target']
    """
    while text[:1] in _SPOKEN:
        text = _SPOKEN[text[0]] + text[1:].lstrip()
    text = re.sub(":{2,}", ":", text.replace("#", ""))
    return re.sub(r"_(\w+)_", r"\1", text).strip() if re.fullmatch(r"_\w+_", text) else text.strip() or "unnamed"


def check_safe_names(names: Iterable[str], what: str, instead: str = "rename them where they come from") -> None:
    """Refuse names that a configuration would not return unchanged.

    Args:
        what: what the names stand for and where they are, for the message.
    """
    wrong = [name for name in dict.fromkeys(names) if not is_safe_name(name)]
    if wrong:
        found = ", ".join(f"{name!r} (e.g. {safe_name(name)!r})" for name in wrong)
        raise ValueError(
            f"{what} must not have '#' or '::', nor begin with $, @ or %, nor be like _target_, which have "
            f"a special meaning in a configuration; found {found}; {instead}"
        )


FROM_DATA = frozenset(
    ["phases", "reference_phase", "classes", "positive", "clinical", "views", "structures", "displayable_configs"]
)
"""Configuration keys that hold names from the data; none of them is ever an expression or a reference."""


def check_from_data(config: Mapping[str, Any], what: str) -> None:
    """Refuse a configuration in which MONAI would not take names from the data literally.

    Called last before a configuration is written, and before one is resolved.
    """
    for key in sorted(FROM_DATA.intersection(config)):
        check_safe_names(_texts(config[key]), f"names in `{key}` of {what}")


def _texts(value: Any) -> list[str]:
    """Return every string in a value, including the keys of mappings."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    parts = value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def is_reference(value: Any) -> bool:
    """Return whether MONAI would execute, look up or copy what a string names instead of taking it literally."""
    return isinstance(value, str) and value[:1] in ("$", "@", "%")


def literal(text: str) -> str:
    r"""Return a text in the form from which a configuration gives it back, whatever characters it holds.

    MONAI turns ``#`` into ``::`` everywhere and executes what starts with ``$``; a ``::`` that it finds may
    originally have been either.

    >>> literal("/data/set 1")
    '/data/set 1'
    >>> literal("/data/set #1")
    "$'/data/set \\x231'"
    """
    if not is_reference(text) and "#" not in text and "::" not in text:
        return text
    return "$" + repr(text).replace("#", r"\x23").replace("@", r"\x40").replace("::", r"\x3a:")


def from_literal(text: str) -> str:
    """Undo `literal`; any other text is returned unchanged.

    >>> from_literal(literal("/data/set #1")), from_literal("$@bundle_root + '/data'")
    ('/data/set #1', "$@bundle_root + '/data'")
    """
    if text[:2] not in ("$'", '$"'):
        return text
    try:
        return str(ast.literal_eval(text[1:]))
    except (SyntaxError, ValueError):
        return text


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name closest in spelling to `word`, ignoring letter case, or None if none is close.

    Args:
        cutoff: least similarity, from 0 (anything) to 1 (equal), as `difflib` counts it.

    >>> nearest("portl", ["pre", "arterial", "portal"])
    'portal'
    >>> nearest("HIGH", ["low", "high"])
    'high'
    >>> nearest("T2", ["pre", "arterial"]) is None
    True
    """
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def listing(word: str, known: Iterable[str]) -> str:
    """Return the known names in brackets, followed by the nearest one if there is one.

    >>> listing("hihg", ["low", "high"])
    "[low, high] (nearest: 'high')"
    """
    names = list(known)
    close = nearest(word, names)
    return f"[{', '.join(names)}]" + (f" (nearest: {close!r})" if close else "")


MOST_LISTED = 5


def note(what: str, names: Sequence[str], most: int = MOST_LISTED) -> str:
    """Return 'what: first names, ... (n in all)', or an empty string if there are no names.

    >>> note("cases left out", ["a", "b"])
    'cases left out: a, b'
    """
    if not names:
        return ""
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return f"{what}: {', '.join(map(shown, names[:most]))}{more}"


def file_name(name: str) -> str:
    """Return a name that is safe for files: itself where it is, else cleaned and made unique.

    >>> file_name("p017"), file_name("a/b")
    ('p017', 'a_b-c14cdd')
    """
    clean = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
    return clean if clean == name else f"{clean}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
