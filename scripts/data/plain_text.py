"""Texts that fit into one line of a message, a table and a file name."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_plain(text: str) -> bool:
    r"""Say whether a text has no line break, no other control character and no half of a character.

    >>> is_plain("Größe 腫瘍"), is_plain("p1\n"), is_plain("\ud800")
    (True, False, False)
    """
    return _CONTROL.search(text) is None


def check_names_are_text(names: Iterable[str], what: str) -> None:
    """Refuse names of files and folders that are no text in one line, e.g. written by a system without UTF-8.

    Raises:
        ValueError: names each of them.
    """
    wrong = [repr(shown(name)).replace("\\\\", "\\") for name in names if not is_plain(name)]
    if wrong:
        raise ValueError(
            f"{what} must have names that are UTF-8 text in one line, found {', '.join(wrong)}; rename them (files "
            "from another system: `convmv -f latin1 -t utf8`)"
        )


def shown(text: str) -> str:
    r"""Return a text as it can be printed: bytes of a file name that are no UTF-8 as they stand there.

    >>> shown("M\udcfcller"), shown("Müller")
    ('M\\xfcller', 'Müller')
    """
    return re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found.group()) - 0xDC00:02x}", text)
