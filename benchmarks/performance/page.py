# SPDX-License-Identifier: Apache-2.0
"""Render docs/performance.md from the JSON of the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.performance.item import Figure, Item
from benchmarks.performance.items import ITEMS, REPEATS

FIGURES = Path("docs/figures/performance.json")
PAGE = Path("docs/performance.md")
TEMPLATE = Path(__file__).with_name("page.md.j2")


def shown(value: float, figure: Figure) -> str:
    """Return a number with its unit.

    >>> shown(9.46, Figure("a", "", "x")), shown(12.3, Figure("b", "", "%", 0))
    ('9.5 ×', '12%')
    """
    number = f"{value:,.{figure.digits}f}"
    return number + {"x": " ×", "%": "%", "": ""}.get(figure.unit, f" {figure.unit}")


def row(figure: Figure, found: Mapping[str, float]) -> dict[str, str]:
    """Return one row of a table: meaning, value with its range, goal, and whether it was reached."""
    value = found["median"]
    text = shown(value, figure)
    if found["repeats"] > 1:
        text += f" ({found['min']:,.{figure.digits}f} to {found['max']:,.{figure.digits}f})"
    goal = reached = ""
    if figure.least is not None:
        goal, reached = (f"at least {shown(figure.least, figure)}", "yes" if value >= figure.least else "**no**")
    if figure.most is not None:
        goal, reached = f"at most {shown(figure.most, figure)}", "yes" if value <= figure.most else "**no**"
    return {"meaning": figure.meaning, "value": text, "goal": goal, "reached": reached}


def table(item: Item, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template needs for one item; figures that were not measured have no row."""
    repeats = max((figure["repeats"] for figure in found.values()), default=0)
    wanted = REPEATS[item.long]
    return {
        "name": item.name,
        "rows": [row(figure, found[figure.name]) for figure in item.figures if figure.name in found],
        "repeats": repeats,
        "wanted": wanted,
        "few": repeats < wanted,
    }


def render(content: Mapping[str, Any], file: str = FIGURES.name) -> str:
    """Return the page.

    Args:
        content: the JSON's content.
        file: its name.
    """
    from jinja2 import Environment, StrictUndefined

    # the page is Markdown of our own figures: nothing in it is to be escaped
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    tables = {name: table(item, content["items"].get(name, {})) for name, item in ITEMS.items()}
    text = template.render(
        tables=tables, file=file, threads=content["threads"], machine=content["machine"],
        versions=content["versions"],
    )  # fmt: skip
    return text.rstrip() + "\n"


def read_figures(file: Path) -> dict[str, Any]:
    """Read the JSON of the figures."""
    return json.loads(file.read_text(encoding="utf-8"))
