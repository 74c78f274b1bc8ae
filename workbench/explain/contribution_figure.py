# SPDX-License-Identifier: Apache-2.0
"""Draw how each phase moves the probability from the answer without any phase to the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.figures.panels import COLOURS, GREY, LONGEST_TITLE, new_figure, plain_axes, saved
from scripts.figures.table import counted
from scripts.figures.text import wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOR, AGAINST = COLOURS[1], COLOURS[0]


@dataclass(frozen=True)
class Waterfall:
    """The numbers of one panel, of one case or a mean over cases."""

    class_name: str  # class whose probability is shown
    start: float  # probability that the network gives without any phase, 0 to 1
    steps: Sequence[float]  # contribution of each player, -1 to 1
    prediction: float  # predicted probability, 0 to 1
    missing: Sequence[int]  # cases that lack each player
    cases: int = 1  # number of cases
    case: str = ""  # its name; empty for a mean over the cases that were predicted as the class
    truth: str = ""  # its class; empty where that is not known


def contribution_figure(
    panels: Sequence[Waterfall], players: Sequence[str], path: str | Path | None = None, classes: Sequence[str] = ()
) -> Figure:
    """Draw one waterfall per panel.

    Every bar starts where the one above it ends. Orange bars raise the probability, blue ones lower it.

    Args:
        panels: one case, or one mean per predicted class.
        players: names of the phases, and of the clinical table.
        classes: K class names; a name that no font can draw is replaced by its number.

    Raises:
        ValueError: a folder that cannot be written.
    """
    from matplotlib.patches import Patch

    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = new_figure(1.0 + 5.4 * columns, 0.4 + (1.3 + 0.42 * (len(players) + 2)) * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    named = (name for p in panels for name in (p.class_name, p.truth) if name)
    every = list(dict.fromkeys([*classes, *named]))
    shown = dict(zip(every, figure.names(every, "class"), strict=True))
    names = figure.names(players, "phase", LONGEST_TITLE)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, [wrap(name, 20) for name in names], shown)
        title = f"mean of {counted(panel.cases, 'case')} predicted as\n'{shown[panel.class_name]}'"
        if panel.case:
            truth = shown[panel.truth] if panel.truth else "not known"
            title = f"{figure.names([panel.case], 'case', 30)[0]}\ntruth: {truth}"
        axes.set_title(title, fontsize=11, loc="left")
    words = {FOR: "raises the probability (points)", AGAINST: "lowers it"}
    keys = [Patch(color=colour, label=text) for colour, text in words.items()]
    figure.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return saved(figure, path)


def _draw(axes: Axes, panel: Waterfall, players: Sequence[str], shown: Mapping[str, str]) -> None:
    """Draw one panel, in percent."""
    names = ["without any phase\n(network's own answer)"]
    axes.barh(0, 100 * panel.start, color="#C8C8C8", height=0.62)
    _write(axes, 100 * panel.start, 0, f"{100 * panel.start:.0f}%")
    reached = 100 * panel.start
    for row, (player, step, missing) in enumerate(zip(players, panel.steps, panel.missing, strict=True), 1):
        following = reached + 100 * step
        lacking = "missing" if panel.cases == 1 else f"missing in {missing}"
        names.append(f"{player}\n({lacking})" if missing else player)
        axes.plot([reached, reached], [row - 0.69, row + 0.31], color=GREY, linewidth=0.8)
        if missing < panel.cases:
            colour = FOR if step > 0 else AGAINST
            axes.barh(row, following - reached, left=reached, color=colour, height=0.62)
            _write(axes, max(reached, following), row, f"{100 * step:+.1f}".replace("-", "−"))
        reached = following
    last = len(players) + 1
    names.append("prediction")
    axes.plot([reached, reached], [last - 0.69, last + 0.31], color=GREY, linewidth=0.8)
    axes.barh(last, 100 * panel.prediction, color="#6E6E6E", height=0.62)
    _write(axes, 100 * panel.prediction, last, f"{100 * panel.prediction:.0f}%", bold=True)
    axes.set_yticks(range(last + 1), names)
    axes.invert_yaxis()
    ends = [100 * end for end in accumulate(panel.steps, initial=panel.start)]
    axes.set_xlim(min(0.0, *ends) - 1, max(100.0, *ends) + 13)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel(f"probability of '{shown[panel.class_name]}', %")
    plain_axes(axes)
    axes.grid(visible=False, axis="y")


def _write(axes: Axes, x: float, row: int, text: str, bold: bool = False) -> None:
    """Write a number at the end of a bar."""
    axes.text(x + 1, row, text, va="center", fontsize=10, fontweight="bold" if bold else "normal")
