"""What all figures share: size, colours, the way they are saved."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.cases.positive import positive_index
from scripts.files.atomic import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    from scripts.figures.named_figure import NamedFigure

logger = logging.getLogger(__name__)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart with any colour vision; the line style changes after a full turn."""

LINE_STYLES = ("-", "--", ":", "-.")
GREY = "#767676"
DPI = 150
BAND = "95% band, at each point"
LONGEST_TITLE = 36
"""Columns that the name of a phase may take above a picture, in about three lines of 14."""
NAMES = "Names"
"""Key of the text in a PNG that says which names are drawn otherwise, as JSON."""


def new_figure(width: float, height: float) -> NamedFigure:
    """Make an empty figure of a size in inches that lays itself out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from scripts.figures.named_figure import NamedFigure  # and with it matplotlib

    figure = NamedFigure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def line_style(index: int) -> tuple[str, str]:
    """Return colour and line style of the index-th line of a figure."""
    return COLOURS[index % len(COLOURS)], LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)]


def plain_axes(axes: Axes) -> None:
    """Give axes a light grid and no box."""
    axes.grid(color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def class_panels(count: int, width: float, height: float) -> tuple[NamedFigure, list[Axes]]:
    """Make a figure of one panel of a size in inches, or of several smaller ones in rows."""
    columns = 4 if count > 9 else min(3, count)
    rows = -(-count // columns)
    figure = new_figure(width, height) if count == 1 else new_figure(3.5 * columns, 3.7 * rows + 0.8)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def shown_classes(classes: Sequence[str], positive: str | None = None) -> list[int]:
    """Return which classes have a panel: of two the positive one, of more each against the rest."""
    return [positive_index(classes, positive)] if len(classes) == 2 else list(range(len(classes)))


def interval_text(intervals: Sequence[Sequence[float] | None] | None, index: int) -> str:
    """Write an interval behind its value, or nothing where there is none.

    Example:
        >>> interval_text([[0.7, 0.9]], 0)
        ' (95% CI 0.700–0.900)'
    """
    interval = None if intervals is None else intervals[index]
    return "" if interval is None else f" (95% CI {interval[0]:.3f}–{interval[1]:.3f})"


def draw_band(axes: Axes, x: np.ndarray, band: tuple[np.ndarray, np.ndarray]) -> None:
    """Fill the 95% band of a curve, from its lower to its upper bound at each point."""
    axes.fill_between(x, *band, color=COLOURS[0], alpha=0.18, linewidth=0, label=BAND)


def common_legend(figure: NamedFigure, panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Put one legend under all panels, of what has one of the names in any of them."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label in names}
    if found:
        figure.legend(
            found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False
        )


def label_panels(panels: Sequence[Axes], x: str, y: str) -> None:
    """Name the horizontal axis of every panel, and the vertical one of those on the left."""
    font = 10 if len(panels) == 1 else 9
    for axes in panels:
        place = axes.get_subplotspec()
        axes.set_xlabel(x, fontsize=font)
        axes.set_ylabel(y if place is None or place.is_first_col() else "", fontsize=font)


def unit_square(axes: Axes) -> None:
    """Let both axes run from 0 to 1."""
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks, aspect="equal")
    plain_axes(axes)


def save_figure(figure: NamedFigure, path: str | Path) -> Path:
    """Save a figure in the format that the suffix of `path` names, completely or not at all.

    A PNG holds, as text by the key "Names", the names that are drawn otherwise (see `NamedFigure`).

    Raises:
        ValueError: the folder cannot be written.
    """
    names = figure.explained()
    text = {NAMES: json.dumps(names, ensure_ascii=False)}
    metadata = text if names and Path(path).suffix == ".png" else None
    numbered = {shown: name for shown, name in names.items() if "…" not in shown}
    if numbered:
        said = ", ".join(f"{shown} is {name}" for shown, name in numbered.items())
        logger.warning("%s: no font of this machine draws some names: %s", Path(path).name, said)
    return write_atomically(path, lambda file: figure.savefig(file, dpi=DPI, metadata=metadata))
