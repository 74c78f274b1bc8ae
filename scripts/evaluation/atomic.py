"""Files that are either complete or absent: written beside their place, then moved into it."""

from __future__ import annotations

import csv
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a temporary file in the folder of `path`, then move it onto `path`.

    The folder is made when it is missing. When `write` fails, the old file (if any) stays as it was and the
    temporary one is removed.

    Args:
        path: the file to write.
        write: called once with the temporary path, which has the suffix of `path`.

    Returns:
        The path written.

    Raises:
        ValueError: the folder cannot be written.
    """
    target = Path(path)
    check_writable(target.parent)
    temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        write(temporary)
        os.replace(temporary, target)
    except IsADirectoryError:
        raise ValueError(
            f"{target} is a folder, but a file of that name must be written: remove or rename it"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return target


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8, as `write_atomically` does."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    return write_atomically(path, write)


def write_table(path: str | Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> Path:
    """Write a CSV file of a header and rows, as `write_atomically` does; None is an empty cell."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write_atomically(path, write)


def check_writable(folder: str | Path) -> Path:
    """Make `folder` if needed and prove that a file can be written there, before any long work starts.

    Raises:
        ValueError: the folder cannot be made or written; says which and why.
    """
    folder = Path(folder)
    probe = folder / f".{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"results folder {folder} cannot be written ({error.strerror}): choose another output_dir"
        ) from None
    return folder
