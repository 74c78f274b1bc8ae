"""What all figures share: colours, grid, the way they are saved."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.files.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scripts.figures.named_figure import NamedFigure

logger = logging.getLogger(__name__)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart with any colour vision; the line style changes after a full turn."""

LINE_STYLES = ("-", "--", ":", "-.")
GREY = "#767676"
DPI = 150
LONGEST_TITLE = 36  # Columns that the name of a phase may take above a picture, in about three lines of 14
NAMES = "Names"  # Key of the text in a PNG that says which names are drawn otherwise, as JSON


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


def saved(figure: NamedFigure, path: str | Path | None) -> NamedFigure:
    """Return a figure, saved where a path is given."""
    if path is not None:
        save_figure(figure, path)
    return figure


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
