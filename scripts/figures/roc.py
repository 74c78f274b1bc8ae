"""Receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scripts.figures.style import (
    BAND,
    COLOURS,
    GREY,
    class_panels,
    common_legend,
    draw_band,
    interval_text,
    label_panels,
    save_figure,
    shown_classes,
    unit_square,
)
from scripts.metrics.bands import roc_band
from scripts.metrics.interval import number_patients
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.scores import class_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WORKING_POINT = "as predicted (highest probability)"


def roc_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    intervals: Sequence[Sequence[float] | None] | None = None,
    patients: Sequence[str] | None = None,
    draws: int = 500,
    seed: int = 0,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw sensitivity over 1 - specificity for all thresholds on P(class), with the AUC and a 95% band.

    With two classes there is one panel, of the positive class against the other; with more, one per class
    against the rest. The dot on each curve is the working point of the table: the class with the highest
    probability is predicted. A class whose AUC is undefined has a panel that says so, without a curve.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        intervals: lower and upper 95% bound of each class's AUC, then of their mean, to be written behind it.
        patients: the patient of each case, who are resampled; without it every case counts as one patient.
        draws: number of resamples for the bands (see `roc_band`); 0 for none.
        seed: of the resampling.
        path: where to save the figure, too.
        positive: with two classes, the name of the positive one; None is the last.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    predicted, patient = probability.argmax(axis=1), number_patients(patients, len(label))
    shown = shown_classes(classes, positive)
    figure, panels = class_panels(len(shown), 5.6, 5.9)
    names = figure.names(classes, "class")
    aucs = []
    score = class_scores(probability)
    for axes, k in zip(panels, shown, strict=True):
        is_it = label == k
        unit_square(axes)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="chance: AUC 0.500")
        title = f"{names[k]} ({int(is_it.sum())} of {len(label)})"
        if is_it.all() or not is_it.any():
            _write(axes, f"{title}: AUC undefined", len(shown))
            continue
        aucs.append(float(roc_auc_score(is_it, score[:, k])))
        if draws > 0 and patient.max() > 0:
            rates = np.linspace(0, 1, 201)
            band = roc_band(score[:, k], is_it, patient, rates, draws, seed)
            draw_band(axes, rates, band)
        false_positive, sensitivity, _ = roc_curve(is_it, score[:, k], drop_intermediate=False)
        title = f"{title}: AUC {aucs[-1]:.3f}{interval_text(intervals, k)}"
        axes.plot(false_positive, sensitivity, color=COLOURS[0], linewidth=2, label=title)
        point = ((predicted == k)[~is_it].mean(), (predicted == k)[is_it].mean())
        axes.plot(
            *point,
            "o",
            color=COLOURS[0],
            markersize=8,
            markeredgecolor="white",
            zorder=3,
            clip_on=False,
            label=WORKING_POINT,
        )
        _write(axes, title, len(shown))
    heading = f"ROC{f', {name}' if name else ''}"
    if len(shown) == 1:
        what = f"{names[shown[0]]} against {names[1 - shown[0]]}"
        panels[0].set_title(f"{heading}: {what}, n = {len(label)}", fontsize=11)
        panels[0].legend(loc="lower right", fontsize=8, framealpha=0.9)
    else:
        mean = f"; mean AUC {np.mean(aucs):.3f}{interval_text(intervals, -1)}" if aucs else ""
        figure.suptitle(f"{heading}: each class against the rest, n = {len(label)}{mean}", fontsize=11)
        common_legend(figure, panels, ("chance: AUC 0.500", BAND, WORKING_POINT))
    label_panels(panels, "1 − specificity (false-positive rate)", "sensitivity (true-positive rate)")
    if path is not None:
        save_figure(figure, path)
    return figure


def _write(axes: Axes, title: str, panels: int) -> None:
    """Write what a panel shows: over it where there are several, in the middle where it has no curve."""
    if panels > 1:
        axes.set_title("\n".join(title.split(": ", 1)), fontsize=9)
    elif "undefined" in title:
        axes.text(0.5, 0.5, title.replace(": ", ":\n"), ha="center", color=GREY, fontsize=9)
