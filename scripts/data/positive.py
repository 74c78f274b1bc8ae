"""Which of two classes is the positive one: what threshold, ROC and decision curve are about."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from scripts.data.document import open_document
from scripts.evaluation.positive import named_class
from scripts.processes import is_first_process


def positive_class(
    positive: str | int | None, classes: Sequence[str], dataset_dir: str | Path | None = None
) -> str | None:
    """Return the positive class as `classes` write it, and say where it had to be assumed.

    Args:
        positive: name of one of two classes, in any letter case; None takes that of dataset.json, where it
            has one, else the last class.
        classes: class names, whose order is not changed.
        dataset_dir: folder with dataset.json, or the path of such a file; asked where `positive` is None and
            it exists.

    Returns:
        The name; None with more than two classes, each of which then stands against the rest.

    Raises:
        ValueError: no name of a class, or one of several; a name with more than two classes.

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
    """Return the positive class that dataset.json names, if there is such a file, and the file."""
    path = Path(dataset_dir).expanduser()
    if not (path if path.suffix == ".json" else path / "dataset.json").is_file():
        return None, ""
    document = open_document(path)
    return document.content.get("positive"), f"'positive' in {document.file}"
