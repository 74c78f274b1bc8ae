"""What the page of a report has besides what was found: empty sections, and its configurations."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.engines.environment import without_person
from workbench.package.own_paths import remove_own_paths

REPORT = "report.html"
NOTHING: dict[str, Any] = {
    "facts": [],
    "meaning": [],
    "cautions": [],
    "data": [],
    "splits": [],
    "headline_tables": [],
    "figures": [],
    "comparison": None,
    "provenance": [],
    "again": None,
    "configurations": [],
}
"""What a page has without any of its sections; see report.html.j2."""


def configurations(files: Sequence[Path], anonymous: bool = False) -> list[tuple[str, str]]:
    """Return name and text of each file that is there, without paths of this machine if `anonymous`."""
    there = [file for file in files if file.is_file()]
    if not anonymous:
        return [(file.name, without_person(file.read_text(encoding="utf-8"))) for file in there]
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copy(file, folder)) for file in there]
        for copy in copies:
            remove_own_paths(copy)
        return [(copy.name, copy.read_text(encoding="utf-8")) for copy in copies]
