"""Which folders this user trained: their hashes, in a list of the user's own."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from importlib.machinery import all_suffixes
from pathlib import Path, PurePosixPath

logger = logging.getLogger(__name__)

IMPORTABLE = (
    *all_suffixes(), ".pyo", ".pyw", ".pyd", ".pyz", ".pth", ".egg", ".whl", ".zip", ".dll", ".dylib",
)  # fmt: skip
"""Ends of names that Python, once their folder is on its path, takes for code."""


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file, link and special file below a folder with its relative name; no link is followed."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*names, *links]):
            path = Path(parent, name)
            yield path, path.relative_to(folder).as_posix()


def is_importable(name: str) -> bool:
    """Say whether a file of this name can be imported.

    >>> is_importable("docs/jinja2.PY"), is_importable("libx.so.6"), is_importable("roc.png")
    (True, True, False)
    """
    lower = PurePosixPath(name).name.lower()
    return lower.endswith(IMPORTABLE) or ".so." in lower


def hash_of(files: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 over names and contents of files, whatever their order."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        content = hashlib.sha256(path.read_bytes() if path.is_file() else b"no file").hexdigest()
        digest.update(f"{content}  {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def trained_list() -> Path:
    """Return the file with one hash per folder that this user trained, in ``$XDG_DATA_HOME``."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "multiphase_fusion_classification" / "trained.txt"


def folder_hash(folder: str | Path) -> str:
    """Return the SHA-256 of configurations, weights and code of a results folder, wherever it lies."""
    folder = Path(folder)
    return hash_of(
        (name, path)
        for path, name in files_of(folder)
        if name.startswith("configs/") or name == "models/model.pt" or is_importable(name)
        if "__pycache__" not in name
    )


def record(folder: str | Path) -> None:
    """Note that this user trained a folder, which then needs no verifying."""
    from scripts.files.processes import is_first_process  # torch, which nothing else here needs

    if not is_first_process():
        return
    file = trained_list()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a", encoding="utf-8") as lines:
            lines.write(f"{folder_hash(folder)}\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        logger.warning("%s is not noted as trained here (%s): later it is verified first", folder, error)


def is_recorded(folder: str | Path) -> bool:
    """Say whether this user's trainings made a folder, and nothing in it changed since."""
    try:
        return folder_hash(folder) in trained_list().read_text(encoding="utf-8").split()
    except (OSError, ValueError, RuntimeError):
        return False
