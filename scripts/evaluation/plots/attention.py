"""Which token looks at which: matrices of attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.evaluation.plots.style import GREY, LONGEST_TITLE, new_figure, save_figure, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
WIDEST = 12.0  # inches; wider, a page shows the names too small to read
MOST_WRITTEN = 8
"""Tokens up to which every number is written."""


@dataclass(frozen=True)
class Attention:
    """The mean attention of a group of cases.

    Attributes:
        kind: which attention of the network.
        group: class of the cases; empty for all.
        asking: Q names of the tokens that look.
        asked: M names of those that are looked at.
        mean: 0 to 1, means over the cases that have both tokens.
        number: of these cases.

    Shape:
        mean, number: [Q, M].
    """

    kind: str
    group: str
    asking: Sequence[str]
    asked: Sequence[str]
    mean: np.ndarray
    number: np.ndarray

    def rows(self) -> Iterator[list[Any]]:
        """Go through the cells as lines of attention.csv; a cell that no case has is empty."""
        for q, source in enumerate(self.asking):
            for m, target in enumerate(self.asked):
                n = int(self.number[q, m])
                mean = f"{self.mean[q, m]:.6g}" if n else None
                yield [self.kind, self.group, source, target, mean, n]


def attention_figure(
    found: Sequence[Attention], classes: Sequence[str], name: str = "", path: str | Path | None = None
) -> Figure:
    """Draw one matrix per group of cases, a row per kind of attention: who looks (row) at whom (column).

    Args:
        found: matrices, all cases first, then the classes.
        classes: K class names.
        name: what was evaluated, for the title.
        path: where to save the figure, too.

    Raises:
        ValueError: a folder that cannot be written.
    """
    kinds = list(dict.fromkeys(one.kind for one in found))
    groups = [[one for one in found if one.kind == kind] for kind in kinds]
    across = max(len(one.asked) for one in found)
    side = min(5.0, 1.4 + 0.42 * across)
    columns = min(COLUMNS, max(map(len, groups)), max(1, int((WIDEST - 1.9) / side)))
    lines = [group[i : i + columns] for group in groups for i in range(0, len(group), columns)]
    high = [1.9 + side * max(1.2, len(line[0].asking)) / across for line in lines]
    figure = new_figure(1.9 + side * columns, 0.8 + sum(high))
    shown = dict(zip(classes, figure.names(classes, "class"), strict=True))
    tokens = list(dict.fromkeys(token for one in found for token in (*one.asking, *one.asked)))
    written = [wrap(token, 16) for token in figure.names(tokens, "phase", LONGEST_TITLE)]
    names = dict(zip(tokens, written, strict=True))
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=high)
    image: Any = None
    for row, line in zip(grid, lines, strict=True):
        for axes, one in zip(row, line, strict=False):
            image = _draw(axes, one, names, first=one is line[0])
            group = shown[one.group] if one.group else "all cases"
            axes.set_title(f"{one.kind}\n{group}" if len(kinds) > 1 else group, fontsize=10)
        for axes in row[len(line) :]:
            axes.remove()
    bar = figure.colorbar(image, ax=list(figure.axes), shrink=0.6, pad=0.02)
    bar.set_label("share of the attention of a row", fontsize=9)
    cases = max(int(one.number.max()) for one in found)
    title = f"Which phase looks at which{f', {name}' if name else ''}: mean over up to {cases} cases"
    figure.suptitle(title, fontsize=12)
    figure.supxlabel(
        "A row looks at the columns; it says what was read, not what it did.", fontsize=9, color=GREY
    )
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw(axes: Axes, one: Attention, names: dict[str, str], first: bool) -> Any:
    """Draw one matrix, with a number in each cell that has cases."""
    image = axes.imshow(np.where(one.number > 0, one.mean, np.nan), cmap="Blues", vmin=0, vmax=1)
    axes.set_facecolor("#EEEEEE")
    if len(one.asked) <= MOST_WRITTEN + 1:
        for q, m in np.argwhere(one.number > 0):
            colour = "white" if one.mean[q, m] > 0.55 else "black"
            text = f"{one.mean[q, m]:.2f}".removeprefix("0")
            axes.text(m, q, text, ha="center", va="center", fontsize=9, color=colour)
    ticks = [names[token] for token in one.asked]
    axes.set_xticks(range(len(ticks)), ticks, fontsize=8, rotation=90)
    axes.set_yticks(range(len(one.asking)), [names[t] if first else "" for t in one.asking], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
