"""What is left of AUC and accuracy when phases are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.figures.style import COLOURS, GREY, common_legend, new_figure, plain_axes, save_figure
from scripts.figures.text import wrap
from workbench.report.withheld import JOIN, MEAN, WithheldRow, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, MARK = "mean over the choices, 95% CI", "one choice of withheld phases"
WITHOUT, ONLY, ALL = "one phase withheld, 95% CI", "one phase alone, 95% CI", "all phases"
NAME_LENGTH = 28


def missing_phases_figure(
    rows: Sequence[WithheldRow],
    phases: Sequence[str],
    majority: float,
    name: str = "",
    path: str | Path | None = None,
) -> Figure:
    """Draw AUC and accuracy over the number of phases withheld from every case, with 95% intervals.

    Above, the line is the mean over all choices of so many phases; each choice is a short mark. Below, one
    line per phase says what is left without it, and with it alone; a dotted line marks all phases.

    Args:
        rows: from `withheld_rows`.
        phases: P names.
        majority: share of the most frequent class, the accuracy of always guessing it.
        name: what was evaluated, for the title.
        path: where to save the figure, too.

    Raises:
        ValueError: a folder that cannot be written.
    """
    below = 0.9 + 0.32 * len(phases) * (2 if len(phases) > 2 else 1)
    figure = new_figure(11.0, 4.4 + below)
    singles = _one_phase(rows, phases, figure.names(phases, "phase", NAME_LENGTH))
    panels = figure.subplots(2, 2, height_ratios=(3.6, below))
    guess = f"always the most frequent class: accuracy {majority:.3f}"
    chance = {"auc": (0.5, "chance: AUC 0.500"), "accuracy": (majority, guess)}
    for (upper, lower), metric, title in zip(panels.T, chance, ("AUC", "accuracy"), strict=True):
        level, text = chance[metric]
        upper.axhline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1, label=text)
        _draw(upper, rows, phases, metric)
        upper.set_ylabel(title)
        upper.set_xlabel(f"phases withheld from every case (of {len(phases)})")
        lower.axvline(level, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
        _draw_single(lower, rows, list(singles.values()), phases, metric)
        lower.set_xlabel(title)
        lower.set_yticks(range(len(singles)), list(singles) if lower is panels[1, 0] else [""] * len(singles))
    common_legend(figure, list(panels.flat), ("chance: AUC 0.500", guess, LINE, MARK, WITHOUT, ONLY, ALL))
    cases = curve(rows)[0].n
    figure.suptitle(f"Missing phases{f', {name}' if name else ''}: n = {cases}", fontsize=12)
    if path is not None:
        save_figure(figure, path)
    return figure


def _one_phase(
    rows: Sequence[WithheldRow], phases: Sequence[str], names: Sequence[str]
) -> dict[str, WithheldRow]:
    """Return, in words, the rows without one phase, then those with one alone, in the order of the phases."""
    found = {row.withheld: row for row in rows if row.withheld != MEAN}
    without = {f"without {shown}": phase for phase, shown in zip(phases, names, strict=True)}
    alone = {
        f"only {shown}": JOIN.join(other for other in phases if other != phase)
        for phase, shown in zip(phases, names, strict=True)
    }
    chosen = without | alone if len(phases) > 2 else without
    return {wrap(words, NAME_LENGTH + 8): found[gone] for words, gone in chosen.items() if gone in found}


def _draw(axes: Axes, rows: Sequence[WithheldRow], phases: Sequence[str], metric: str) -> None:
    """Draw the marks, the line and its intervals of one metric."""
    line = [row for row in curve(rows) if getattr(row, metric) is not None]
    values = [getattr(row, metric) for row in line]
    singles = [row for row in rows if row.withheld != MEAN and getattr(row, metric) is not None]
    bounds = [bound for row in line for bound in _whiskers(row, metric)]
    lowest = min([0.45, *values, *(v - b for v, b in zip(values, bounds[::2], strict=True))])
    lowest = min([lowest, *(getattr(row, metric) for row in singles)])
    axes.set(xlim=(-0.3, len(phases) - 0.7), ylim=(max(0.0, lowest - 0.05), 1.02))
    for row in line:
        heights = [getattr(single, metric) for single in singles if single.missing == row.missing]
        if len(heights) > 1:
            axes.plot([row.missing] * len(heights), heights, "_", color="black", markersize=14, alpha=0.7)
    axes.errorbar(
        [row.missing for row in line],
        values,
        yerr=[bounds[::2], bounds[1::2]],
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
    ticks = [_tick(rows, missing) for missing in range(len(phases))]
    axes.set_xticks(range(len(phases)), ticks, fontsize=10 if len(phases) <= 5 else 8)
    plain_axes(axes)
    axes.grid(visible=False, axis="x")


def _draw_single(
    axes: Axes,
    rows: Sequence[WithheldRow],
    singles: Sequence[WithheldRow],
    phases: Sequence[str],
    metric: str,
) -> None:
    """Draw value and interval of each row, one below the other."""
    whole = getattr(curve(rows)[0], metric)
    if whole is not None:
        axes.axvline(whole, color="black", linewidth=1, linestyle=":", label=ALL)
    kinds = ((1, COLOURS[1], WITHOUT), (len(phases) - 1, COLOURS[2], ONLY))[: 2 if len(phases) > 2 else 1]
    for kind, colour, label in kinds:
        for y, row in enumerate(singles):
            value = getattr(row, metric)
            if row.missing != kind or value is None:
                continue
            low, high = _whiskers(row, metric)
            style: dict[str, Any] = {
                "color": colour,
                "marker": "o",
                "markersize": 6,
                "elinewidth": 1.3,
                "capsize": 3,
            }
            axes.errorbar([value], [y], xerr=[[low], [high]], linestyle="", **style)
        axes.plot([], [], "o-", color=colour, label=label)
    axes.set_ylim(len(singles) - 0.4, -0.6)
    axes.set_xlim(right=1.02)
    plain_axes(axes)
    axes.grid(visible=False, axis="y")


def _whiskers(row: WithheldRow, metric: str) -> tuple[float, float]:
    """Return how far the interval reaches below and above a value; 0 where there is none."""
    value, low, high = (getattr(row, metric + end) for end in ("", "_lower", "_upper"))
    return 0.0 if low is None else abs(value - low), 0.0 if high is None else abs(high - value)


def _tick(rows: Sequence[WithheldRow], missing: int) -> str:
    """Write the number of withheld phases and, where they differ, the number of cases left."""
    counts = {row.n for row in rows if row.missing == missing and row.withheld != MEAN}
    everyone = {row.n for row in rows if row.missing == 0}
    if counts <= everyone:
        return str(missing)
    least, most = min(counts), max(counts)
    return f"{missing}\nn {'=' if least == most else '≥'} {least}"
