"""Lists of names in one line for the user."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.data.plain_text import shown

MOST_LISTED = 5


def note(what: str, names: Sequence[str], most: int = MOST_LISTED) -> str:
    """Return 'what: first names, ... (n in all)', or nothing where there is no name.

    >>> note("cases left out", ["a", "b"])
    'cases left out: a, b'
    """
    if not names:
        return ""
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return f"{what}: {', '.join(map(shown, names[:most]))}{more}"
