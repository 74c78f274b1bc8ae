"""Folders that are either complete or absent."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.evaluation.atomic import PARTIAL, check_writable


@contextmanager
def folder_atomically(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, and put it in the place of `folder` once that is done.

    When filling fails, an old folder stays as it was and the temporary one is removed.

    Raises:
        ValueError: the folder above cannot be written.
    """
    check_writable(folder.parent)
    temporary = folder.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    old = folder.with_name(f"{PARTIAL}{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        for rest in (temporary, old):
            shutil.rmtree(rest, ignore_errors=True)


def file_name(name: str) -> str:
    """Return a name that is safe for files: itself where it is, else cleaned and made unique.

    >>> file_name("p017"), file_name("a/b")
    ('p017', 'a_b-c14cdd')
    """
    clean = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
    return clean if clean == name else f"{clean}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
