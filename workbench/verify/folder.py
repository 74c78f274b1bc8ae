# SPDX-License-Identifier: Apache-2.0
"""Check a results folder or unpacked bundle file by file: no foreign code, no links out, only known kinds."""

from __future__ import annotations

import filecmp
import logging
import os
import shlex
import stat
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from scripts import BUNDLE
from scripts.engines.ensemble import files_of, hash_of, is_importable, is_recorded
from scripts.files.run_folder import RECORD
from workbench.verify.configurations import LARGEST, Finding, check_configuration
from workbench.verify.weights import check_evidence, check_onnx, check_torchscript, check_weights

logger = logging.getLogger(__name__)

KINDS = (
    ".pt", ".ts", ".onnx", ".yaml", ".yml", ".json", ".md", ".html", ".csv", ".xlsx", ".png", ".svg", ".txt",
    ".nii", ".gz", ".nrrd", ".mha", ".mhd", ".dcm", ".sha256", ".log", ".tsv", ".pbtxt", ".npz",
)  # fmt: skip
"""File extensions that trainings, packages and explanations write."""
AS_SHIPPED = ("logging.conf", "requirements")
"""Prefixes of files that give instructions to other programs."""
RELEASES = Path(__file__).with_name("releases.txt")


def package_hash(package: Path) -> str:
    """Return the SHA-256 over names and contents of the files of a package."""
    return hash_of((name, path) for path, name in files_of(package))


def is_release(package: Path) -> bool:
    """Whether a package is that of a release, by ``releases.txt``: a hash and a version per line."""
    lines = RELEASES.read_text(encoding="utf-8").splitlines()
    hashes = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    return bool(hashes) and package_hash(package) in hashes


def is_as_shipped(path: Path, name: str) -> bool:
    """Whether the running bundle has the same file at the same place."""
    own = BUNDLE / name
    return own.is_file() and path.is_file() and filecmp.cmp(own, path, shallow=False)


def check_file(path: Path, name: str, folder: Path, released: bool) -> list[Finding]:
    """Return what is wrong with a file's kind, name or place; its content is checked elsewhere."""
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        return [Finding(name, "", f"a link to {os.readlink(path)}", "no link out of the folder")]
    mode = path.lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        return [Finding(name, "", "a device, pipe or socket", "a file")]
    if path.is_dir() or is_as_shipped(path, name):
        return []
    base = PurePosixPath(name).name
    if name.startswith("scripts/"):
        return [] if released else [_foreign_code(name)]
    if is_importable(name):
        return [Finding(name, "", "a file that Python can import", "in scripts/, as shipped; delete it")]
    if base.startswith(AS_SHIPPED):
        return [Finding(name, "", "another content", "the same file as in this bundle")]
    named = base in ("LICENSE", RECORD) or base.startswith("events.out.tfevents.")
    if not named and not base.lower().endswith(KINDS):
        return [Finding(name, "", "a file of another kind", "of a kind that trainings write (--allow takes its path)")]
    return []


def _foreign_code(name: str) -> Finding:
    must = "the same file as in the running bundle, a release, or named by --allow"
    if not (BUNDLE / name).is_file():
        return Finding(name, "", "a file that the running bundle does not have", must)
    return Finding(name, "", "other code", must)


def check_whole(folder: Path, released: bool) -> list[Finding]:
    """Return one finding if a package lacks files of the running one."""
    package = folder / "scripts"
    if released or not package.is_dir() or package.samefile(BUNDLE / "scripts"):
        return []
    own = [name for _, name in files_of(BUNDLE / "scripts") if "__pycache__" not in name]
    lacking = [name for name in own if not (package / name).is_file()]
    must = f"the whole package (this one has the hash {package_hash(package)})"
    return [Finding("scripts", "", f"no {lacking[0]} and {len(lacking) - 1} more", must)] if lacking else []


CONTENTS = {".pt": check_weights, ".ts": check_torchscript, ".onnx": check_onnx, ".npz": check_evidence}
OWN_PARTS = ("configs", "scripts", "models", "docs")
"""Parts of the running bundle that are checked; it also holds an environment and tests."""


def verify(folder: str | Path, allow: Collection[str] = ()) -> list[Finding]:
    """Return all that a folder holds beyond the shipped bundle; nothing of it is run or resolved.

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


def require_verified(folder: str | Path, trust: bool = False) -> None:
    """Refuse a folder that this user did not train, unless it holds nothing beyond the bundle.

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
