"""Texts that fit into one line of a message, a table and a file name."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_plain(text: str) -> bool:
    r"""Say whether a text has no line break, no other control character and no half of a character.

    >>> is_plain("Größe 腫瘍"), is_plain("p1\n"), is_plain("\ud800")
    (True, False, False)
    """
    return _CONTROL.search(text) is None
