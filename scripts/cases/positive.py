# SPDX-License-Identifier: Apache-2.0
"""The positive one of two classes: its name and its index."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.cases.document import open_document
from scripts.files.plain_text import listing
from scripts.files.processes import is_first_process


def named_class(positive: str | int, classes: Sequence[str], where: str = "`positive`") -> str:
    """Return the one of two classes that a name means, ignoring letter case.

    Raises:
        ValueError: not a class name (the message suggests the nearest), an ambiguous one, or not two classes.
    """
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
            f"[{', '.join(names)}], each of which is scored against the rest; leave it out"
        )
    if len(found) != 1:
        raise ValueError(f"{where} must be one of the classes {listing(text, names)}, found {text!r}; correct it")
    return found[0]


def positive_index(classes: Sequence[str], positive: str | None) -> int:
    """Return the index of the positive one of two classes; the last one if none is named.

    >>> classes = ["aggressive", "indolent"]
    >>> positive_index(classes, None), positive_index(classes, "Aggressive")
    (1, 0)
    """
    names = list(classes)
    return len(names) - 1 if positive is None else names.index(named_class(positive, names))


def config_positive(config: dict[str, Any]) -> str | None:
    """Return the positive one of a configuration's two classes (the last if it names none), else None."""
    classes = list(map(str, config.get("classes") or []))
    return classes[positive_index(classes, config.get("positive"))] if len(classes) == 2 else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def positive_class(
    positive: str | int | None, classes: Sequence[str], dataset_dir: str | Path | None = None
) -> str | None:
    """Return the positive class as spelt in `classes`; prints a line if it had to be assumed.

    Args:
        positive: name of one of two classes, ignoring letter case; None takes the one in dataset.json, if any,
            else the last class.
        dataset_dir: folder with dataset.json, or the path of such a file; read only if `positive` is None and
            the file exists.

    Returns:
        The name, or None with more than two classes, each of which is then scored against the rest.

    Raises:
        ValueError: not a class name, an ambiguous one, or a name given for more than two classes.

    >>> positive_class("AGGRESSIVE", ["aggressive", "indolent"])
    'aggressive'
    >>> positive_class(None, ["mild", "moderate", "severe"])
    """
    names, where = list(classes), "`positive`"
    if positive is None and dataset_dir is not None:
        positive, where = _declared(dataset_dir)
    if positive is None:
        if len(names) != 2:
            return None
        if is_first_process():
            print(
                f"positive class: {names[-1]}, assumed as the last of `classes`; threshold, ROC and decision "
                f"curve are about it; pass --positive {shlex.quote(names[0])} for the other",
                flush=True,
            )
        return names[-1]
    return named_class(positive, names, where)


def _declared(dataset_dir: str | Path) -> tuple[str | None, str]:
    """Return the positive class that dataset.json names, if any, and where it is named."""
    path = Path(dataset_dir).expanduser()
    if not (path if path.suffix == ".json" else path / "dataset.json").is_file():
        return None, ""
    document = open_document(path)
    return document.content.get("positive"), f"'positive' in {document.file}"
