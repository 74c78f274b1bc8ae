# SPDX-License-Identifier: Apache-2.0
"""The tests that lie as the changed files: `make test-fast`, or `make test-fast FILES="scripts/x.py"`.

A change in scripts/losses/deep_supervision.py runs tests/losses/test_evidential.py where there is one,
else the nearest folder of tests that there is; a changed test runs itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def changed() -> list[str]:
    """Return the Python files that differ from the last commit, or are new."""
    listed = [["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--exclude-standard"]]
    found = [subprocess.check_output(["git", *line], cwd=ROOT, text=True).split("\n") for line in listed]
    return [name for names in found for name in names if name.endswith(".py")]


def neighbours_of(name: str) -> Path | None:
    """Return the test file or folder of a file, None where there is none.

    >>> neighbours_of("scripts/engines/removal.py").relative_to(ROOT).as_posix()
    'tests/engines/test_removal.py'
    """
    path = Path(name)
    if path.parts[0] == "tests":
        return ROOT / path if path.name.startswith("test_") and (ROOT / path).is_file() else (ROOT / path).parent
    if path.parts[0] not in ("scripts", "workbench", "benchmarks"):
        return None
    folder = ROOT.joinpath("tests", *(path.parts[1:-1] if path.parts[0] != "benchmarks" else ("benchmarks",)))
    own = folder / f"test_{path.name}"
    if own.is_file():
        return own
    while not folder.is_dir():
        folder = folder.parent
    return folder if folder != ROOT / "tests" else ROOT / "tests" / "bundle"


def main() -> int:
    """Run them, without those that take minutes."""
    names = sys.argv[1:] or changed()
    found = sorted({str(place) for place in map(neighbours_of, names) if place is not None})
    print("changed:", *names or ["nothing"], "\ntests:  ", *(found or ["none"]), flush=True)
    return subprocess.call([sys.executable, "-m", "pytest", "--numprocesses", "2", *found]) if found else 0


if __name__ == "__main__":
    sys.exit(main())
