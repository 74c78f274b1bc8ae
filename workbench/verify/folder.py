# SPDX-License-Identifier: Apache-2.0
"""A results folder or unpacked bundle, file by file."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from scripts import BUNDLE
from scripts.engines.ensemble import files_of, is_recorded
from workbench.verify.configurations import check_configuration
from workbench.verify.files import check_file, check_whole, is_as_shipped, is_release
from workbench.verify.plain_config import LARGEST, Finding
from workbench.verify.weights import check_onnx, check_torchscript, check_weights

CONTENTS = {".pt": check_weights, ".ts": check_torchscript, ".onnx": check_onnx}
OWN_PARTS = ("configs", "scripts", "models", "docs")
"""What is looked at of the running bundle itself, which has an environment and tests beside it."""


def verify(folder: str | Path, allow: Collection[str] = ()) -> list[Finding]:
    """Return all that a folder holds beside what the shipped bundle holds; nothing of it is run or resolved.

    Args:
        folder: results folder, or bundle that was unpacked.
        allow: targets (``scripts.networks.fusion.Mine``) and files (``scripts/networks/fusion/mine.py``) of
            one's own.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a file, or a folder without configurations.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"FOLDER must be a folder, found the file {folder}; unpack it first, which runs nothing")
    if not folder.is_dir():
        raise FileNotFoundError(f"FOLDER must be a results folder or bundle, found none at {folder}; correct it")
    if not (folder / "configs").is_dir():
        raise ValueError(f"FOLDER must be a results folder or bundle with configs/, found none in {folder}; correct it")
    if not (BUNDLE / "configs" / "fusion").is_dir() and not folder.samefile(BUNDLE):
        raise ValueError(
            f"verifying needs the bundle's own configurations, found no fusion/ in {BUNDLE / 'configs'}; "
            "run it in the bundle's own folder"
        )
    return list(_findings(folder, allow))


def _findings(folder: Path, allow: Collection[str]) -> Iterator[Finding]:
    package = folder / "scripts"
    released = package.is_dir() and not package.is_symlink() and is_release(package)
    parts = [folder / part for part in OWN_PARTS] if folder.samefile(BUNDLE) else [folder]
    for part in parts:
        for path, inner in files_of(part):
            name = inner if part == folder else f"{part.name}/{inner}"
            if (folder.samefile(BUNDLE) and "__pycache__" in name) or name in allow:
                continue
            found = check_file(path, name, folder, released)
            yield from found
            kind = path.suffix.lower()
            if found or not path.is_file():
                continue
            if kind in CONTENTS:
                yield from CONTENTS[kind](path, name)
            elif kind in LARGEST and not is_as_shipped(path, name):
                yield from check_configuration(path, name, allow)
    yield from check_whole(folder, released)


logger = logging.getLogger(__name__)


def require_verified(folder: str | Path, trust: bool = False) -> None:
    """Refuse a folder that this user did not train, unless it holds nothing beside what the bundle holds.

    Args:
        folder: results folder or bundle whose configurations or weights are about to be used.
        trust: only warn.

    Raises:
        ValueError: with the first finding, and how to see all.
    """
    folder = Path(folder)
    if (folder.is_dir() and folder.samefile(BUNDLE)) or is_recorded(folder):
        return
    found = verify(folder)
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if trust:
        logger.warning("%s is trusted, and can run what it likes: %s%s", folder, found[0], more)
        return
    command = f"python -m workbench.verify {shlex.quote(str(folder))}"
    raise ValueError(
        f"{folder} must be a folder that you trained, or one with this bundle's code alone, found "
        f"{found[0]}{more}; see all by `{command}`, and go on with --trust if you know who made it"
    )
