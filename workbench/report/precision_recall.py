"""Precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from scripts.figures.style import (
    COLOURS,
    GREY,
    class_panels,
    common_legend,
    interval_text,
    label_panels,
    save_figure,
    shown_classes,
    unit_square,
)
from scripts.metrics.predictions import as_labels, as_probabilities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_SKILL = "no skill: the prevalence of the class"


def precision_recall_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    intervals: Sequence[Sequence[float] | None] | None = None,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the positive predictive value over the sensitivity for all thresholds on P(class).

    With two classes there is one panel, of the positive class; with more, one per class against the rest. The
    dashed line is the prevalence, where a classifier without skill lies. The average precision is the area
    under the steps.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        intervals: lower and upper 95% bound of each class's average precision, to be written behind it.
        path: where to save the figure, too.
        positive: with two classes, the name of the positive one; None is the last.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    shown = shown_classes(classes, positive)
    figure, panels = class_panels(len(shown), 5.6, 5.9)
    names = figure.names(classes, "class")
    for axes, k in zip(panels, shown, strict=True):
        is_it = label == k
        unit_square(axes)
        title = f"{names[k]} ({int(is_it.sum())} of {len(label)})"
        if is_it.all() or not is_it.any():
            axes.text(0.5, 0.5, f"{title}:\nundefined", ha="center", color=GREY, fontsize=9)
            continue
        precision, recall, _ = precision_recall_curve(is_it, probability[:, k])
        average = average_precision_score(is_it, probability[:, k])
        area = f"average precision {average:.3f}{interval_text(intervals, k)}"
        axes.step(recall, precision, where="post", color=COLOURS[0], linewidth=2, label=area)
        axes.axhline(is_it.mean(), color=GREY, linestyle=(0, (4, 3)), linewidth=1, label=NO_SKILL)
        if len(shown) > 1:
            axes.set_title(f"{title}\n{area}", fontsize=9)
    heading = f"Precision and recall{f', {name}' if name else ''}"
    if len(shown) == 1:
        k = shown[0]
        what = f"{names[k]} ({int((label == k).sum())} of {len(label)})"
        panels[0].set_title(f"{heading}: {what}, n = {len(label)}", fontsize=11)
        if panels[0].get_lines():
            panels[0].legend(loc="lower left", fontsize=8, framealpha=0.9)
    else:
        figure.suptitle(f"{heading}: each class against the rest, n = {len(label)}", fontsize=11)
        common_legend(figure, panels, (NO_SKILL,))
    label_panels(panels, "recall = sensitivity", "precision = positive predictive value")
    if path is not None:
        save_figure(figure, path)
    return figure
