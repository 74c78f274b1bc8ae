"""What is left of AUC and accuracy when phases are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.evaluation.plots.style import (
    COLOURS,
    GREY,
    common_legend,
    new_figure,
    plain_axes,
    save_figure,
    shorten,
)
from scripts.evaluation.withheld import JOIN, MEAN, WithheldRow, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, MARK = "mean over the choices, 95% CI", "one choice of withheld phases"
MOST_NAMES = 4
"""Subsets of one size whose names are written."""


def missing_phases_figure(
    rows: Sequence[WithheldRow],
    phases: Sequence[str],
    majority: float,
    name: str = "",
    path: str | Path | None = None,
) -> Figure:
    """Draw AUC and accuracy over the number of phases withheld from every case, with 95% intervals.

    The line is the mean over all choices of so many phases; each choice is a short mark, with its name where
    there are up to 4.

    Args:
        rows: from `withheld_rows`.
        phases: P names.
        majority: share of the most frequent class, the accuracy of always guessing it.
        name: what was evaluated, for the title.
        path: where to save the figure, too.

    Raises:
        ValueError: a folder that cannot be written.
    """
    figure = new_figure(11.0, 4.8)
    panels = figure.subplots(1, 2)
    guess = f"always the most frequent class: accuracy {majority:.3f}"
    chance = {"auc": (0.5, "chance: AUC 0.500"), "accuracy": (majority, guess)}
    for axes, metric, title in zip(panels, chance, ("AUC", "accuracy"), strict=True):
        level, text = chance[metric]
        axes.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1, label=text)
        _draw(axes, rows, phases, metric)
        axes.set_ylabel(title)
        axes.set_xlabel(f"phases withheld from every case (of {len(phases)})")
    common_legend(figure, list(panels), ("chance: AUC 0.500", guess, LINE, MARK))
    cases = curve(rows)[0].n
    figure.suptitle(f"Missing phases{f', {name}' if name else ''}: n = {cases}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw(axes: Axes, rows: Sequence[WithheldRow], phases: Sequence[str], metric: str) -> None:
    """Draw the marks, the line and its intervals of one metric."""
    line = [row for row in curve(rows) if getattr(row, metric) is not None]
    values = [getattr(row, metric) for row in line]
    bounds = [[getattr(row, f"{metric}_{side}") for row in line] for side in ("lower", "upper")]
    whiskers = [
        [0.0 if bound is None else abs(value - bound) for value, bound in zip(values, side, strict=True)]
        for side in bounds
    ]
    singles = [row for row in rows if row.withheld != MEAN and getattr(row, metric) is not None]
    lowest = min([0.45, *(bound for bound in bounds[0] if bound is not None), *values])
    lowest = min([lowest, *(getattr(row, metric) for row in singles)])
    low, high = max(0.0, lowest - 0.05), 1.02
    axes.set(xlim=(-0.3, len(phases) - 0.2), ylim=(low, high))
    for row in line:
        group = [single for single in singles if single.missing == row.missing]
        if len(group) > 1:
            heights = [getattr(single, metric) for single in group]
            axes.plot([row.missing] * len(group), heights, "_", color="black", markersize=14, alpha=0.7)
            if len(group) <= MOST_NAMES:
                _write_names(axes, group, heights, phases, 0.045 * (high - low))
    axes.errorbar(
        [row.missing for row in line],
        values,
        yerr=whiskers,
        color=COLOURS[0],
        marker="o",
        markersize=6,
        linewidth=2,
        elinewidth=1.3,
        capsize=4,
        label=LINE,
        zorder=3,
    )
    axes.plot([], [], "_", color="black", markersize=14, alpha=0.7, label=MARK)
    axes.set_xticks(range(len(phases)), [_tick(rows, missing) for missing in range(len(phases))])
    plain_axes(axes)
    axes.grid(visible=False, axis="x")


def _tick(rows: Sequence[WithheldRow], missing: int) -> str:
    """Write the number of withheld phases and, where they differ, the number of cases left."""
    counts = {row.n for row in rows if row.missing == missing and row.withheld != MEAN}
    everyone = {row.n for row in rows if row.missing == 0}
    if counts <= everyone:
        return str(missing)
    least, most = min(counts), max(counts)
    return f"{missing}\n(n = {least if least == most else f'{least} to {most}'})"


def _write_names(
    axes: Axes, group: Sequence[WithheldRow], heights: Sequence[float], phases: Sequence[str], gap: float
) -> None:
    """Write beside each mark what was withheld, or what alone is left, without overlap."""
    order = sorted(range(len(group)), key=lambda i: heights[i])
    places = spread([heights[i] for i in order], gap)
    for i, place in zip(order, places, strict=True):
        x = group[i].missing
        axes.annotate(
            _words(group[i], phases),
            (x + 0.09, heights[i]),
            (x + 0.17, place),
            fontsize=8,
            va="center",
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )


def _words(row: WithheldRow, phases: Sequence[str]) -> str:
    """Say what was withheld, or what alone is left where that is one phase."""
    gone = row.withheld.split(JOIN)
    left = [phase for phase in phases if phase not in gone]
    return f"only {shorten(left[0], 16)}" if len(left) == 1 else f"without {shorten(', '.join(gone), 24)}"


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move ascending heights apart to at least `gap`, each group of close ones around its middle.

    >>> [round(height, 2) for height in spread([0.5, 0.71, 0.71, 0.9], 0.04)]
    [0.5, 0.69, 0.73, 0.9]
    """
    groups = [[height] for height in heights]

    def placed(group: Sequence[float]) -> list[float]:
        centre = sum(group) / len(group)
        return [centre + (i - (len(group) - 1) / 2) * gap for i in range(len(group))]

    joined = True
    while joined:
        joined = False
        for i in range(len(groups) - 1):
            if placed(groups[i + 1])[0] - placed(groups[i])[-1] < gap - 1e-9:
                groups[i : i + 2] = [groups[i] + groups[i + 1]]
                joined = True
                break
    return [place for group in groups for place in placed(group)]
