"""Which state of the code ran: git's revision, where there is one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
"""The package `scripts`, whose revision is meant."""


def git_revision(package: Path = PACKAGE) -> dict[str, Any]:
    """Return the commit that the running code belongs to, and whether the code was changed since.

    A copy of the code that git does not know, as in a results folder or an unpacked zip, has no revision,
    even where it lies in the folder of some repository. Never fails: without git, everything is None.

    Args:
        package: folder of the code.

    Returns:
        revision (40 or 64 hexadecimal digits, or None) and dirty (True where a file of the package or of the
        configurations beside it differs from the commit, or is new; None without a revision).
    """
    absent = {"revision": None, "dirty": None}
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return absent
    revision = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".", "../configs")
    if revision is None or changed is None:
        return absent
    return {"revision": revision, "dirty": changed != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where it is not installed or fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # looks only, and never waits for another git
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
