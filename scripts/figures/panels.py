"""Curves of each class against the rest: the panels, titles, bands and legends that such figures share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.cases.positive import positive_index
from scripts.figures.style import COLOURS, GREY, new_figure, plain_axes, saved
from scripts.metrics.predictions import as_labels, as_probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from scripts.figures.named_figure import NamedFigure

BAND = "95% band, at each point"
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 3)), "linewidth": 1}
"""Lines to compare with: chance, no skill, perfect calibration."""


class ClassPanels:
    """A figure with one panel for the positive one of two classes, or one per class against the rest.

    Args:
        probabilities: [n, K], each row summing to 1.
        labels: [n], index of the true class.
        positive: with two classes, the name of the positive one; None is the last.
        width, height: of a single panel, inches.

    Attributes:
        shown: indices of the classes that have a panel.
        names: of all classes, as they are drawn.

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
        """Go through the panels: axes, index of the class, and which cases [n] have it."""
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
            title: of what is drawn.
            name: what was evaluated.
            only: what a single panel is about.
            x, y: names of the axes; the vertical one is written on the left alone.
            legend: where that of a single panel lies.
            common: what one legend under several panels explains.
            behind: the title of several panels ends with it.
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
    """Write an interval behind its value, or nothing where there is none.

    >>> interval_text([[0.7, 0.9]], 0)
    ' (95% CI 0.700–0.900)'
    """
    interval = None if intervals is None else intervals[index]
    return "" if interval is None else f" (95% CI {interval[0]:.3f}–{interval[1]:.3f})"


def draw_band(axes: Axes, x: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> None:
    """Fill the 95% band of a curve, from its lower to its upper bound at each point."""
    axes.fill_between(x, *bounds, color=COLOURS[0], alpha=0.18, linewidth=0, label=BAND)


def common_legend(figure: NamedFigure, panels: Sequence[Axes], names: Sequence[str]) -> None:
    """Put one legend under all panels, of what has one of the names in any of them."""
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
