# SPDX-License-Identifier: Apache-2.0
"""Attention between the tokens, as matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.engines.case_handler import Case, Prediction
from scripts.engines.evaluation import show_figures
from scripts.figures.panels import GREY, LONGEST_TITLE, new_figure, saved
from scripts.figures.text import wrap
from scripts.files.atomic import write_table
from workbench.explain.listening import AttentionMaps
from workbench.report.weights import FusionReport, weight_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
WIDEST = 12.0  # inches; in a wider figure the names would be too small to read on a page
MOST_WRITTEN = 8  # With more tokens, numbers are not written into the cells


@dataclass(frozen=True)
class Attention:
    """The mean attention of a group of cases.

    Shape:
        mean, number: [Q, M].
    """

    kind: str  # which attention of the network
    group: str  # class of the cases; empty for all
    asking: Sequence[str]  # Q names of the tokens that attend
    asked: Sequence[str]  # M names of the tokens attended to
    mean: np.ndarray  # 0 to 1, means over the cases that have both tokens
    number: np.ndarray  # number of these cases

    def rows(self) -> Iterator[list[Any]]:
        """Yield the cells as lines of attention.csv; the mean is empty if no case has both tokens."""
        for q, source in enumerate(self.asking):
            for m, target in enumerate(self.asked):
                n = int(self.number[q, m])
                mean = f"{self.mean[q, m]:.6g}" if n else None
                yield [self.kind, self.group, source, target, mean, n]


def attention_figure(
    found: Sequence[Attention], classes: Sequence[str], name: str = "", path: str | Path | None = None
) -> Figure:
    """Draw one matrix per group of cases, a row per kind of attention: a token (row) attends to others (columns).

    Args:
        found: matrices, all cases first, then the classes.

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
    figure.supxlabel("A row attends to the columns; this shows what was read, not its effect.", fontsize=9, color=GREY)
    return saved(figure, path)


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


CLASS_TOKEN = "class token"
KEPT = "(kept to itself)"


class AttentionReport(FusionReport):
    """Writes how much the phases attend to each other, for strategies that fuse by attention.

    When an evaluation ends it writes into `output_dir`

        attention.csv   attention, class (empty: all cases), from, to, mean, n
        attention.png   the same as matrices: a row attends to the columns

    and shows the figure in TensorBoard. Means are over the heads and over the n cases that have both tokens;
    classes are the true ones. Rows sum to 1 if all cases have all phases; attention that cross-attention does not
    give to others is "(kept to itself)". With test-time augmentation or an ensemble, attention is averaged like
    the probabilities. A strategy without attention writes no file.

    Args and Raises: those of `FusionReport`.
    """

    listener = AttentionMaps

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note the attention {kind: [Q, M]} of each case."""
        found = {} if self.heard is None else self.heard.take()
        for i, p in enumerate(predictions if found else ()):
            self.notes[p.case] = {kind: maps[i].numpy() for kind, maps in found.items()}

    def write(self, device: str) -> None:
        """Write the table and the figure."""
        if not self.notes:
            return
        labels = np.array([-1 if p.label is None else p.label for p in self.predictions])
        groups = {"": labels >= -1} | {name: labels == k for k, name in enumerate(self.classes)}
        tables: list[Attention] = []
        for kind in next(iter(self.notes.values())):
            maps = np.stack([self.notes[p.case][kind] for p in self.predictions])
            tables += [self._means(kind, name, maps[chosen]) for name, chosen in groups.items() if chosen.any()]
        rows = [row for table in tables for row in table.rows()]
        write_table(self.output_dir / "attention.csv", ["attention", "class", "from", "to", "mean", "n"], rows)
        figure = attention_figure(tables, self.classes, self.name, self.output_dir / "attention.png")
        show_figures(self.output_dir, self.name, {"attention": figure})

    def _means(self, kind: str, group: str, maps: np.ndarray) -> Attention:
        """Return the means over cases: maps [n, Q, M], NaN where a token is absent."""
        there = np.isfinite(maps)
        number = there.sum(axis=0)
        mean = np.where(there, maps, 0).sum(axis=0) / np.maximum(number, 1)
        tokens = weight_names(self.phases, self.views, maps.shape[2])
        asking = [CLASS_TOKEN] if maps.shape[1] == 1 else tokens
        # attention without a diagonal is cross-attention, where a token may keep a part to itself
        only_others = maps.shape[1] > 1 and not np.nan_to_num(np.diagonal(maps, axis1=1, axis2=2)).any()
        if kind == "cross_attention" or only_others:
            asks = there.any(axis=2)
            kept = np.where(asks, 1 - np.where(there, maps, 0).sum(axis=2), 0).sum(axis=0)
            count = asks.sum(axis=0)
            mean = np.column_stack([mean, kept / np.maximum(count, 1)])
            number = np.column_stack([number, count])
            tokens = [*tokens, KEPT]
        return Attention(kind.replace("_", " "), group, asking, tokens, mean, number)
