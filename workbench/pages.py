"""Self-contained HTML pages, from the templates in workbench/report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.files.atomic import write_text

TEMPLATES = Path(__file__).resolve().parent / "report"


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
