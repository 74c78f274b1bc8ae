# SPDX-License-Identifier: Apache-2.0
"""The files of a folder: no foreign code, no way out, and only kinds that trainings write."""

from __future__ import annotations

import filecmp
import os
import stat
from pathlib import Path, PurePosixPath

from scripts import BUNDLE
from scripts.engines.ensemble import files_of, hash_of, is_importable
from scripts.files.run_folder import RECORD
from workbench.verify.plain_config import Finding

KINDS = (
    ".pt", ".ts", ".onnx", ".yaml", ".yml", ".json", ".md", ".html", ".csv", ".xlsx", ".png", ".svg", ".txt",
    ".nii", ".gz", ".nrrd", ".mha", ".mhd", ".dcm", ".sha256", ".log", ".tsv", ".pbtxt",
)  # fmt: skip
"""Ends of names of what trainings, packages and explanations write."""
AS_SHIPPED = ("logging.conf", "requirements")
"""Beginnings of names of files that are orders to other programs."""
RELEASES = Path(__file__).with_name("releases.txt")


def package_hash(package: Path) -> str:
    """Return the SHA-256 over names and contents of the files of a package."""
    return hash_of((name, path) for path, name in files_of(package))


def is_release(package: Path) -> bool:
    """Say whether a package is that of a release, by ``releases.txt``: a hash and a version per line."""
    lines = RELEASES.read_text(encoding="utf-8").splitlines()
    hashes = {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
    return bool(hashes) and package_hash(package) in hashes


def is_as_shipped(path: Path, name: str) -> bool:
    """Say whether the running bundle has the same file at the same place."""
    own = BUNDLE / name
    return own.is_file() and path.is_file() and filecmp.cmp(own, path, shallow=False)


def check_file(path: Path, name: str, folder: Path, released: bool) -> list[Finding]:
    """Return what is wrong with a file by its kind, name and place; what it holds is looked at elsewhere."""
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
    """Return one finding where a package lacks files of the running one."""
    package = folder / "scripts"
    if released or not package.is_dir() or package.samefile(BUNDLE / "scripts"):
        return []
    own = [name for _, name in files_of(BUNDLE / "scripts") if "__pycache__" not in name]
    lacking = [name for name in own if not (package / name).is_file()]
    must = f"the whole package (this one has the hash {package_hash(package)})"
    return [Finding("scripts", "", f"no {lacking[0]} and {len(lacking) - 1} more", must)] if lacking else []
