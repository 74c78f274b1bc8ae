"""Which folders this user trained: their hashes, in a list of the user's own."""

from __future__ import annotations

import logging
import os
import shlex
from pathlib import Path

from scripts.verify.folder import verify
from scripts.verify.package_files import files_of, hash_of, is_importable
from scripts.verify.shipped import ROOT

logger = logging.getLogger(__name__)


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
    from scripts.processes import is_first_process  # torch, which nothing else here needs

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


def require_verified(folder: str | Path, trust: bool = False) -> None:
    """Refuse a folder that this user did not train, unless it holds nothing beside what the bundle holds.

    Args:
        folder: results folder or bundle whose configurations or weights are about to be used.
        trust: only warn.

    Raises:
        ValueError: with the first finding, and how to see all.
    """
    folder = Path(folder)
    if (folder.is_dir() and folder.samefile(ROOT)) or is_recorded(folder):
        return
    found = verify(folder)
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if trust:
        logger.warning("%s is trusted, and can run what it likes: %s%s", folder, found[0], more)
        return
    command = f"python -m scripts.verify {shlex.quote(str(folder))}"
    raise ValueError(
        f"{folder} must be a folder that you trained, or one with this bundle's code alone, found "
        f"{found[0]}{more}; see all by `{command}`, and go on with --trust if you know who made it"
    )
