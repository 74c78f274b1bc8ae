# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages by the templates in workbench/report, and the configurations that they show."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.engines.environment import without_person
from scripts.files.atomic import write_text
from workbench.package.own_paths import remove_own_paths

TEMPLATES = Path(__file__).resolve().parent / "report"
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


def render(values: dict[str, Any], page: str) -> str:
    """Fill the template of a page; every value is escaped, and a value that is not there is an error.

    Args:
        values: see the template, `report.html.j2` for instance.
        page: name of the file; its template is called so, with .j2 behind.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{page}.j2").render(values)


def write_page(folder: Path, values: dict[str, Any], page: str) -> Path:
    """Render a page into a folder, as a whole or not at all, and say where it is."""
    file = write_text(folder / page, render(values, page))
    print(f"report: {file.resolve()}", flush=True)
    return file


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
