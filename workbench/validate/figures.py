# SPDX-License-Identifier: Apache-2.0
"""Both hospitals in one figure: ROC and reliability of the model, and how far the data differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scripts.cases.positive import positive_index
from scripts.figures.panels import DASHED, new_figure, plain_axes, save_figure, unit_square
from scripts.metrics.scores import weighted_auc
from workbench.report.probability_figures import reliability_steps
from workbench.validate.hospital import Group
from workbench.validate.shift import NOTABLE, Feature

LOOKS = (("#7A7A7A", "s"), ("#D55E00", "o"), ("#0072B2", "^"))  # of the groups, in order
FEWEST_PER_BIN, MOST_SHOWN, FARTHEST = 15, 24, 3.0


def draw_model(groups: Sequence[Group], ranked: int, classes: Sequence[str], positive: str | None, path: Path) -> Path:
    """Draw ROC curves of the first `ranked` groups, one panel per class or of the positive, and reliability of all."""
    from sklearn.metrics import roc_curve

    asked = [positive_index(classes, positive)] if len(classes) == 2 else list(range(len(classes)))
    width = 5.0 * (len(asked) + 1)
    figure = new_figure(width, 5.6)
    names = figure.names([group.name for group in groups], "hospital", 40)
    shown = figure.names(classes, "class")
    panels = figure.subplots(1, len(asked) + 1, squeeze=False)[0]
    for axes, k in zip(panels, asked, strict=False):
        unit_square(axes)
        axes.plot([0, 1], [0, 1], label="guessing", **DASHED)
        for group, name, (colour, _) in zip(groups[:ranked], names, LOOKS, strict=False):
            there = group.label == k
            if there.all() or not there.any():
                continue
            false, true, _ = roc_curve(there, group.probability[:, k], drop_intermediate=False)
            auc = float(weighted_auc(group.probability[:, k], there, np.ones((1, len(there))))[0])
            axes.plot(false, true, color=colour, linewidth=2, label=f"{name}: AUC {auc:.3f}, n = {len(there)}")
        axes.set(xlabel="1 − specificity (false alarms)", ylabel="sensitivity")
        axes.set_title(f"Does it rank the cases? {shown[k]}", fontsize=11)
        plain_axes(axes)
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes, only = panels[-1], asked[0] if len(asked) == 1 else None
    unit_square(axes)
    axes.plot([0, 1], [0, 1], label="probability = frequency", **DASHED)
    for group, name, (colour, marker) in zip(groups, names, LOOKS, strict=False):
        steps = 10 if len(group.label) >= 10 * FEWEST_PER_BIN else 5
        mean, share, _, bounds = reliability_steps(group.probability, group.label, steps, only)
        style = {"color": colour, "marker": marker, "linewidth": 1.6, "elinewidth": 1, "capsize": 2, "markersize": 5}
        axes.errorbar(mean, share, yerr=np.abs(bounds - share), label=f"{name}, n = {len(group.label)}", **style)
    what = "the predicted class" if only is None else shown[only]
    axes.set(xlabel=f"predicted probability of {what}", ylabel="share of cases that have it")
    axes.set_title("Do its probabilities mean what they say?", fontsize=11)
    plain_axes(axes)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    return save_figure(figure, path)


def draw_shift(found: Sequence[Feature], names: Sequence[str], path: Path) -> Path | None:
    """Draw the standardised differences, the largest first; None without any."""
    known = sorted((one for one in found if not math.isnan(one.difference)), key=lambda one: -abs(one.difference))
    if not known:
        return None
    known = known[:MOST_SHOWN][::-1]
    figure = new_figure(8.4, 1.4 + 0.27 * len(known))
    shown = figure.names([one.name for one in known], "property", 48)
    first, second = figure.names(names, "hospital", 30)
    axes = figure.subplots()
    axes.axvspan(-NOTABLE, NOTABLE, color="#EDEDED", zorder=0)
    axes.axvline(0, color="#7A7A7A", linewidth=1)
    for row, one in enumerate(known):
        gap = max(-FARTHEST, min(FARTHEST, one.difference))
        marker = "o" if gap == one.difference else ">" if gap > 0 else "<"
        axes.plot(gap, row, marker, color="#D55E00" if abs(gap) >= NOTABLE else "#7A7A7A", markersize=7)
    axes.set_yticks(range(len(known)), shown, fontsize=8)
    axes.set(xlim=(-FARTHEST - 0.2, FARTHEST + 0.2), ylim=(-0.7, len(known) - 0.3))
    axes.set_xlabel(f"← lower at {second}    difference in standard deviations    higher at {second} →", fontsize=9)
    axes.set_title(f"What differs: {second} against {first}", fontsize=11)
    plain_axes(axes)
    return save_figure(figure, path)
