"""Which of two classes a name means, and its place among them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def named_class(positive: str | int, classes: Sequence[str], where: str = "`positive`") -> str:
    """Return the one of two classes that is meant by a name, whatever its letter case.

    Args:
        positive: the name.
        classes: two class names.
        where: what the name was found in, for messages.

    Raises:
        ValueError: no name of a class (names the nearest), or one of several; more than two classes.
    """
    from scripts.data.nearest import listing  # that package needs this one

    names = list(classes)
    if isinstance(positive, bool) or not isinstance(positive, str | int):
        raise ValueError(
            f"{where} must be the name of one of the classes {listing(str(positive), names)}, found "
            f"{positive!r}; write the name in quotes"
        )
    text = str(positive)
    alike = [name for name in names if _folded(name) == _folded(text)]
    found = [text] if text in names else alike
    if len(names) != 2:
        raise ValueError(
            f"{where} names one of two classes, found {text!r} with the {len(names)} classes "
            f"[{', '.join(names)}], each of which stands against the rest; leave it out"
        )
    if len(found) != 1:
        raise ValueError(
            f"{where} must be one of the classes {listing(text, names)}, found {text!r}; correct it"
        )
    return found[0]


def positive_index(classes: Sequence[str], positive: str | None) -> int:
    """Return the index of the positive one of two classes: of the last where none is named.

    >>> classes = ["aggressive", "indolent"]
    >>> positive_index(classes, None), positive_index(classes, "Aggressive")
    (1, 0)
    """
    names = list(classes)
    return len(names) - 1 if positive is None else names.index(named_class(positive, names))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()
