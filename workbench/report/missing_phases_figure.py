# SPDX-License-Identifier: Apache-2.0
"""Figure of AUC and accuracy when phases are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.figures.curves import CHANCE
from scripts.figures.panels import COLOURS, DASHED, common_legend, new_figure, plain_axes, saved
from scripts.figures.text import wrap
from workbench.report.withheld import JOIN, MEAN, WithheldRow, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, MARK = "mean over the choices, 95% CI", "one choice of withheld phases"
WITHOUT, ONLY, ALL = "one phase withheld, 95% CI", "one phase alone, 95% CI", "all phases"
NAME_LENGTH = 28
POINT: dict[str, Any] = {"marker": "o", "markersize": 6, "elinewidth": 1.3}


def missing_phases_figure(
    rows: Sequence[WithheldRow], phases: Sequence[str], majority: float, name: str = "", path: str | Path | None = None
) -> Figure:
    """Draw AUC and accuracy over the number of phases withheld from every case, with 95% intervals.

    In the upper panels the line is the mean over all choices of that many phases, and each choice is a short mark.
    The lower panels show, for each phase, the result without it and with it alone; a dotted line marks all phases.

    Args:
        rows: from `withheld_rows`.
        majority: share of the most frequent class, the accuracy of always guessing it.

    Raises:
        ValueError: a folder that cannot be written.
    """
    below = 0.9 + 0.32 * len(phases) * (2 if len(phases) > 2 else 1)
    figure = new_figure(11.0, 4.4 + below)
    words = _one_phase(phases, figure.names(phases, "phase", NAME_LENGTH))
    found = {row.withheld: row for row in rows if row.withheld != MEAN}
    singles = {text: found[withheld] for withheld, text in words.items() if withheld in found}
    panels = figure.subplots(2, 2, height_ratios=(3.6, below))
    guess = f"always the most frequent class: accuracy {majority:.3f}"
    for (upper, lower), metric, title, level, text in zip(
        panels.T, ("auc", "accuracy"), ("AUC", "accuracy"), (0.5, majority), (CHANCE, guess), strict=True
    ):
        upper.axhline(level, label=text, **DASHED)
        _draw_counts(upper, rows, len(phases), metric)
        upper.set_ylabel(title)
        upper.set_xlabel(f"phases withheld from every case (of {len(phases)})")
        lower.axvline(level, **DASHED)
        _draw_single(lower, curve(rows)[0], list(singles.values()), len(phases), metric)
        lower.set_xlabel(title)
        lower.set_yticks(range(len(singles)), list(singles) if lower is panels[1, 0] else [""] * len(singles))
        for axes, axis in ((upper, "x"), (lower, "y")):
            plain_axes(axes)
            axes.grid(visible=False, axis=axis)
    common_legend(figure, list(panels.flat), (CHANCE, guess, LINE, MARK, WITHOUT, ONLY, ALL))
    figure.suptitle(f"Missing phases{f', {name}' if name else ''}: n = {curve(rows)[0].n}", fontsize=12)
    return saved(figure, path)


def _one_phase(phases: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return words for the subsets that leave one phase out or leave one alone: withheld phases -> words."""
    others = [JOIN.join(other for other in phases if other != phase) for phase in phases]
    without = {phase: f"without {name}" for phase, name in zip(phases, names, strict=True)}
    alone = {gone: f"only {name}" for gone, name in zip(others, names, strict=True)}
    chosen = without | alone if len(phases) > 2 else without
    return {withheld: wrap(text, NAME_LENGTH + 8) for withheld, text in chosen.items()}


def _draw_counts(axes: Axes, rows: Sequence[WithheldRow], phases: int, metric: str) -> None:
    """Draw the marks, the line and its intervals of one metric, over the number of withheld phases."""
    line = [row for row in curve(rows) if getattr(row, metric) is not None]
    values = [getattr(row, metric) for row in line]
    singles = [row for row in rows if row.withheld != MEAN and getattr(row, metric) is not None]
    below, above = np.array([_whiskers(row, metric) for row in line]).reshape(-1, 2).T
    lowest = min([0.45, *(np.array(values) - below), *(getattr(row, metric) for row in singles)])
    axes.set(xlim=(-0.3, phases - 0.7), ylim=(max(0.0, lowest - 0.05), 1.02))
    mark: dict[str, Any] = {"color": "black", "markersize": 14, "alpha": 0.7}
    for row in line:
        heights = [getattr(single, metric) for single in singles if single.missing == row.missing]
        if len(heights) > 1:
            axes.plot([row.missing] * len(heights), heights, "_", **mark)
    at = [row.missing for row in line]
    style = POINT | {"color": COLOURS[0], "linewidth": 2, "capsize": 4, "zorder": 3}
    axes.errorbar(at, values, yerr=[below, above], label=LINE, **style)
    axes.plot([], [], "_", label=MARK, **mark)
    ticks = [_tick(rows, missing) for missing in range(phases)]
    axes.set_xticks(range(phases), ticks, fontsize=10 if phases <= 5 else 8)


def _draw_single(axes: Axes, whole: WithheldRow, singles: Sequence[WithheldRow], phases: int, metric: str) -> None:
    """Draw value and interval of each row, one below another."""
    if getattr(whole, metric) is not None:
        axes.axvline(getattr(whole, metric), color="black", linewidth=1, linestyle=":", label=ALL)
    for missing, colour, label in ((1, COLOURS[1], WITHOUT), (phases - 1, COLOURS[2], ONLY))[: min(2, phases - 1)]:
        for y, row in enumerate(singles):
            if row.missing == missing and (value := getattr(row, metric)) is not None:
                bounds = [[side] for side in _whiskers(row, metric)]
                axes.errorbar([value], [y], xerr=bounds, color=colour, linestyle="", capsize=3, **POINT)
        axes.plot([], [], "o-", color=colour, label=label)
    axes.set_ylim(len(singles) - 0.4, -0.6)
    axes.set_xlim(right=1.02)


def _whiskers(row: WithheldRow, metric: str) -> tuple[float, float]:
    """Return how far the interval extends below and above the value; 0 if there is none."""
    value, low, high = (getattr(row, metric + end) for end in ("", "_lower", "_upper"))
    return 0.0 if low is None else abs(value - low), 0.0 if high is None else abs(high - value)


def _tick(rows: Sequence[WithheldRow], missing: int) -> str:
    """Return the number of withheld phases and, if it differs from that of all cases, the number of cases left."""
    counts = {row.n for row in rows if row.missing == missing and row.withheld != MEAN}
    everyone = {row.n for row in rows if row.missing == 0}
    if counts <= everyone:
        return str(missing)
    least, most = min(counts), max(counts)
    return f"{missing}\nn {'=' if least == most else '≥'} {least}"
