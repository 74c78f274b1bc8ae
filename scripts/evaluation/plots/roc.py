"""Receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_probabilities
from scripts.evaluation.plots.style import GREY, line_style, new_figure, plain_axes, save_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    auc_interval: Sequence[float] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw sensitivity over 1 - specificity for all thresholds on P(class), with the AUC.

    With two classes there is one curve, of the last class against the first; with more, one per class against
    the rest. The dot on each curve is the working point of the table: the class with the highest probability
    is predicted. A class whose AUC is undefined is named in the legend without a curve.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        auc_interval: lower and upper 95% bound of the macro AUC, to be written behind it.
        path: where to save the figure, too.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    predicted = probability.argmax(axis=1)
    shown = [1] if len(classes) == 2 else list(range(len(classes)))
    outside = len(shown) > 8
    figure = new_figure(8.6 if outside else 5.6, 5.9)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="chance: AUC 0.500")
    aucs = []
    for i, k in enumerate(shown):
        colour, style = line_style(i)
        positive = label == k
        title = f"{shorten(classes[k])} ({int(positive.sum())} of {len(label)})"
        if positive.all() or not positive.any():
            axes.plot([], [], color=colour, linestyle=style, label=f"{title}: AUC undefined")
            continue
        false_positive, sensitivity, _ = roc_curve(positive, probability[:, k], drop_intermediate=False)
        aucs.append(float(roc_auc_score(positive, probability[:, k])))
        bounds = _bounds(auc_interval) if len(classes) == 2 else ""
        axes.plot(
            false_positive,
            sensitivity,
            color=colour,
            linestyle=style,
            linewidth=2,
            label=f"{title}: AUC {aucs[-1]:.3f}{bounds}",
        )
        point = ((predicted == k)[~positive].mean(), (predicted == k)[positive].mean())
        axes.plot(*point, "o", color=colour, markersize=8, markeredgecolor="white", zorder=3, clip_on=False)
    if len(aucs) > 1:
        axes.plot([], [], " ", label=f"mean over classes: AUC {np.mean(aucs):.3f}{_bounds(auc_interval)}")
    if aucs:
        axes.plot([], [], "o", color=GREY, markersize=7, label="as predicted (highest probability)")
    axes.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        xlabel="1 − specificity (false-positive rate)",
        ylabel="sensitivity (true-positive rate)",
        aspect="equal",
    )
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    plain_axes(axes)
    what = (
        f"{shorten(classes[1])} against {shorten(classes[0])}"
        if len(classes) == 2
        else "each class against the rest"
    )
    axes.set_title(f"ROC{f', {name}' if name else ''}: {what}, n = {len(label)}", fontsize=11)
    if outside:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    else:
        axes.legend(loc="lower right", fontsize=8, framealpha=0.9)
    if path is not None:
        save_figure(figure, path)
    return figure


def _bounds(interval: Sequence[float] | None) -> str:
    """Write an interval behind its AUC."""
    return "" if interval is None else f" (95% CI {interval[0]:.3f}–{interval[1]:.3f})"
