"""The name a user probably meant, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name closest in spelling to `word`, or None when none is close.

    Letter case is ignored.

    Args:
        word: what was found.
        known: what is allowed.
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
    """Return the known names in brackets, followed by the nearest one where there is one.

    >>> listing("hihg", ["low", "high"])
    "[low, high] (nearest: 'high')"
    """
    names = list(known)
    close = nearest(word, names)
    return f"[{', '.join(names)}]" + (f" (nearest: {close!r})" if close else "")
