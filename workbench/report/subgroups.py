# SPDX-License-Identifier: Apache-2.0
"""Sites and subgroups in the report: their figure, their tables, and warnings about gaps and about small groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.figures.panels import COLOURS, DASHED, GREY, new_figure, plain_axes, saved
from scripts.figures.subgroup_tables import RULE, TOO_FEW, metrics_of, shown_name, subgroup_tables
from scripts.figures.table import bounds_text, number
from scripts.files.plain_text import note
from scripts.metrics.paired import p_text
from scripts.metrics.registry import TITLES
from workbench.report.cautions import WIDEST_INTERVAL, Caution
from workbench.report.contents import Contents
from workbench.report.figures import Known, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNIFICANT = 0.05  # p (Holm) below which a gap is warned of
MOST_ROWS = 40  # More groups than these are in the tables alone
FIGURE = Known(
    "subgroups.png",
    "Metrics of each site and group",
    "The dot is the value in a group, the bar its 95% interval, the dashed line the value of all cases: look for bars "
    "that lie beside the line.",
)


def subgroup_figure(
    subgroups: Sequence[Mapping[str, Any]], name: str = "", path: str | Path | None = None
) -> Figure | None:
    """Draw each metric of each group with its interval, below each other; None without any group.

    Args:
        subgroups: from `scripts.metrics.subgroups.compare_groups`.
        name: what was evaluated.
        path: PNG that is written.
    """
    if not subgroups:
        return None
    metrics = metrics_of(subgroups[0])
    metrics = [one for one in metrics if one != "accuracy"] if "sensitivity" in metrics else metrics
    rows: list[tuple[str, Mapping[str, Any] | None]] = []
    for scores in subgroups:
        rows += [(shown_name(scores), None), *((row["group"], row) for row in scores["groups"])]
    left_out = max(0, len(rows) - MOST_ROWS)
    rows = rows[:MOST_ROWS]
    figure = new_figure(3.4 + 2.5 * len(metrics), 1.3 + 0.3 * len(rows))
    different = list(dict.fromkeys(text for text, _ in rows))
    shown = dict(zip(different, figure.names(different, "group"), strict=True))
    everyone = subgroups[0]["all"]
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, metric, [row for _, row in rows], everyone)
    panels[0].set_yticks(range(len(rows)), [_label(shown[text], row) for text, row in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    for tick, (_, row) in zip(panels[0].get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row is None else "normal")
    more = f"; {left_out} more in subgroups.csv" if left_out else ""
    figure.suptitle(f"Sites and subgroups{f', {name}' if name else ''}: n = {everyone['n']}{more}", fontsize=11)
    return saved(figure, path)


def _label(text: str, row: Mapping[str, Any] | None) -> str:
    """Return the name of a group with its number of cases, or that of a column."""
    return text if row is None else f"{text} ({row['n']})"


def _panel(axes: Axes, metric: str, rows: Sequence[Mapping[str, Any] | None], everyone: Mapping[str, Any]) -> None:
    """Draw one metric of all rows; a row without a group is the heading of a column."""
    plain_axes(axes)
    axes.grid(axis="y", visible=False)
    known = [row for row in rows if row is not None and row[metric] is not None]
    lows = [(row[f"{metric}_interval"] or [row[metric]])[0] for row in known]
    least = min([0.5 if metric == "auc" else 0.8, *lows])
    start = math.floor(least * 10) / 10
    axes.set_xlim(start - 0.02, 1.02)
    if everyone[metric] is not None:
        axes.axvline(everyone[metric], **DASHED)
    for y, row in enumerate(rows):
        if row is None:
            axes.axhspan(y - 0.5, y + 0.5, color="#F3F3F3", zorder=0)
        elif row[metric] is None:
            axes.text((start + 1) / 2, y, TOO_FEW, ha="center", va="center", fontsize=8, color=GREY)
        else:
            lower, upper = row[f"{metric}_interval"] or [row[metric]] * 2
            axes.plot([lower, upper], [y, y], color=COLOURS[0], linewidth=2, solid_capstyle="butt")
            axes.plot(row[metric], y, "o", color=COLOURS[0], markersize=6)
    title, value = TITLES[metric], everyone[metric]
    axes.set_title(title[0].upper() + title[1:], fontsize=10)
    axes.set_xlabel("all cases" + (f": {value:.3f}" if value is not None else f": {TOO_FEW}"), fontsize=9)
    axes.tick_params(axis="y", length=0)


def subgroup_section(contents: Contents) -> dict[str, Any] | None:
    """Return what the template shows about sites and subgroups; None where there are none."""
    found = (contents.metrics or {}).get("subgroups", [])
    if not found:
        return None
    return {"tables": subgroup_tables(found, contents.cases), "figure": figure_of(contents, FIGURE)}


def subgroup_cautions(contents: Contents) -> Iterator[Caution]:
    """Yield the warnings: gaps that are more than chance, groups that are too small, and gaps that nobody could see."""
    found = (contents.metrics or {}).get("subgroups", [])
    few, wide = [], []
    for scores in found:
        by = shown_name(scores)
        for gap in scores["gaps"]:
            values = {row["group"]: number(row[gap["metric"]]) for row in scores["groups"]}
            if gap["p_holm"] is not None and gap["p_holm"] < SIGNIFICANT:
                yield Caution(
                    f"The {TITLES[gap['metric']]} differs by {by}: {values[gap['highest']]} for {gap['highest']} "
                    f"and {values[gap['lowest']]} for {gap['lowest']}, a gap of {number(gap['gap'])}"
                    f"{bounds_text(*(gap['gap_interval'] or (None, None)))}, p (Holm) {p_text(gap['p_holm'])}.",
                    "More than chance explains. The figures of all cases do not hold for each group: report them by "
                    "group, and look at what differs (scanner, kind of lesion, missing phases).",
                )
            elif gap["metric"] == "auc" and gap["gap_interval"] and gap["gap_interval"][1] > WIDEST_INTERVAL:
                wide.append(f"{by} (up to {number(gap['gap_interval'][1])})")
        small = [f"{row['group']} ({row['n']})" for row in scores["groups"] if "auc" in row["too_few"]]
        if small and len(scores["groups"]) > 1:
            few.append(note(by, small))
    if few:
        yield Caution(
            f"Groups too small to tell how good the model is there: {'; '.join(few)}.",
            f"{RULE[0].upper()}{RULE[1:]} That nothing is shown of them does not mean that nothing is wrong.",
        )
    if wide:
        yield Caution(
            f"The reported cases cannot show that the AUC is alike in all groups: by {', '.join(wide)} it may differ.",
            f"The interval of the largest gap reaches beyond {WIDEST_INTERVAL}. It needs more cases of each group.",
        )
