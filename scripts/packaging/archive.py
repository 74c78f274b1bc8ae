"""Zip files that depend on nothing but their contents."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path

from scripts.evaluation.atomic import write_atomically

# The earliest time that a zip file can hold; the real one would make every zip different.
TIME = (1980, 1, 1, 0, 0, 0)
MODE = 0o100644  # a plain file that everyone may read


def write_zip(folder: Path, target: Path) -> Path:
    """Pack a folder, under its own name, into a zip whose bytes depend on names and contents alone.

    Files are in the order of their names, with one fixed time and mode, and stored as they are: compressors
    differ between machines, and weights and figures hardly shrink.

    Args:
        folder: what is packed; its name becomes the folder inside the zip.
        target: the file to write; complete or untouched, never half-written.

    Raises:
        ValueError: when `target` cannot be written.
    """
    return write_atomically(target, partial(_pack, folder))


def _pack(folder: Path, file: Path) -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{folder.name}/{name}", date_time=TIME)
            entry.create_system, entry.external_attr = 3, MODE << 16
            archive.writestr(entry, (folder / name).read_bytes())


def read_file(file: Path, name: str) -> bytes:
    """Return one file of a zip written by `write_zip`.

    Args:
        file: the zip.
        name: path inside the zip's one folder, e.g. ``configs/metadata.json``.
    """
    with zipfile.ZipFile(file) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        return archive.read(f"{folder}/{name}")
