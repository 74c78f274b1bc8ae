# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the figures: colours, saving, panels, bands and legends."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.cases.positive import positive_index
from scripts.files.atomic import write_atomically
from scripts.metrics.predictions import as_labels, as_probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scripts.figures.named_figure import NamedFigure

logger = logging.getLogger(__name__)

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, distinguishable with any colour vision; once it is used up, the line style changes."""

LINE_STYLES = ("-", "--", ":", "-.")
GREY = "#767676"
DPI = 150
LONGEST_TITLE = 36  # Columns that the name of a phase may take above a picture, in about three lines of 14
NAMES = "Names"  # Key of the PNG text that lists, as JSON, the names that are drawn differently


def new_figure(width: float, height: float) -> NamedFigure:
    """Return an empty figure with automatic layout; sizes in inches."""
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
    """Save a figure if a path is given; return it."""
    if path is not None:
        save_figure(figure, path)
    return figure


def save_figure(figure: NamedFigure, path: str | Path) -> Path:
    """Save a figure, as a whole or not at all, in the format given by the suffix of `path`.

    A PNG contains, as text with the key "Names", the names that are drawn differently (see `NamedFigure`).

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


BAND = "95% band, at each point"
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 3)), "linewidth": 1}
"""Style of reference lines: chance, no skill, perfect calibration."""


class ClassPanels:
    """A figure with one panel for the positive of two classes, or one per class against the rest.

    Args:
        probabilities: [n, K], each row summing to 1.
        labels: [n], index of the true class.
        positive: with two classes, the name of the positive one; None means the last.
        width, height: size of a single panel, inches.

    Attributes:
        shown: indices of the classes that have a panel.
        names: names of all classes as they are drawn.

    Raises:
        ValueError: as for `classification_table`.
    """

    def __init__(
        self,
        probabilities: ArrayLike,
        labels: ArrayLike,
        classes: Sequence[str],
        positive: str | None,
        width: float,
        height: float,
    ) -> None:
        self.probability = as_probabilities(probabilities, classes)
        self.label = as_labels(labels, *self.probability.shape)
        self.shown = [positive_index(classes, positive)] if len(classes) == 2 else list(range(len(classes)))
        count = len(self.shown)
        columns = 4 if count > 9 else min(3, count)
        rows = -(-count // columns)
        size = (width, height) if count == 1 else (3.5 * columns, 3.7 * rows + 0.8)
        self.figure: NamedFigure = new_figure(*size)
        grid = list(self.figure.subplots(rows, columns, squeeze=False).flat)
        for axes in grid[count:]:
            axes.remove()
        self.panels: list[Axes] = grid[:count]
        self.names = self.figure.names(classes, "class")

    @property
    def single(self) -> bool:
        """Whether there is one panel only."""
        return len(self.shown) == 1

    def __iter__(self) -> Iterator[tuple[Axes, int, np.ndarray]]:
        """Yield for each panel its axes, the index of its class, and which cases [n] are of that class."""
        for axes, k in zip(self.panels, self.shown, strict=True):
            yield axes, k, self.label == k

    def counted(self, k: int) -> str:
        """Return the name of a class with the number of its cases."""
        return f"{self.names[k]} ({int((self.label == k).sum())} of {len(self.label)})"

    def finish(
        self,
        title: str,
        name: str,
        only: str,
        x: str,
        y: str,
        path: str | Path | None,
        legend: dict[str, Any],
        common: Sequence[str] = (),
        behind: str = "",
    ) -> NamedFigure:
        """Write titles, names of the axes and legends; save the figure where a path is given.

        Args:
            title: name of the figure.
            name: what was evaluated.
            only: subtitle of a single panel.
            x, y: names of the axes; y is written on the leftmost panels only.
            legend: position of the legend of a single panel.
            common: labels that a common legend under several panels explains.
            behind: appended to the title of several panels.
        """
        heading = f"{title}, {name}" if name else title
        if self.single:
            self.panels[0].set_title(f"{heading}: {only}", fontsize=11)
            if self.panels[0].get_lines():
                self.panels[0].legend(fontsize=8, framealpha=0.9, **legend)
        else:
            n = len(self.label)
            self.figure.suptitle(f"{heading}: each class against the rest, n = {n}{behind}", fontsize=11)
            common_legend(self.figure, self.panels, common)
        for axes in self.panels:
            place, font = axes.get_subplotspec(), 10 if self.single else 9
            axes.set_xlabel(x, fontsize=font)
            axes.set_ylabel(y if place is None or place.is_first_col() else "", fontsize=font)
        return saved(self.figure, path)


def interval_text(intervals: Sequence[Sequence[float] | None] | None, index: int) -> str:
    """Return an interval as text to follow its value, or "" if there is none.

    >>> interval_text([[0.7, 0.9]], 0)
    ' (95% CI 0.700–0.900)'
    """
    interval = None if intervals is None else intervals[index]
    return "" if interval is None else f" (95% CI {interval[0]:.3f}–{interval[1]:.3f})"


def draw_band(axes: Axes, x: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> None:
    """Fill the 95% band of a curve, from its lower to its upper bound at each point."""
    axes.fill_between(x, *bounds, color=COLOURS[0], alpha=0.18, linewidth=0, label=BAND)


def common_legend(figure: NamedFigure, panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Put one legend under all panels, with the entries of any panel that have one of the names."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label in names}
    if found:
        style: dict[str, Any] = {"loc": "outside lower center", "ncols": 3, "fontsize": 8, "frameon": False}
        figure.legend(found.values(), found.keys(), **style)


def unit_square(axes: Axes) -> None:
    """Let both axes run from 0 to 1."""
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks, aspect="equal")
    plain_axes(axes)
