"""Receiver operating characteristic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scripts.figures.panels import BAND, DASHED, ClassPanels, draw_band, interval_text, unit_square
from scripts.figures.style import COLOURS, GREY
from scripts.metrics.interval import band, number_patients
from scripts.metrics.scores import class_scores, sensitivity_at, weighted_auc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = "chance: AUC 0.500"
WORKING_POINT = "as predicted (highest probability)"
RATES = np.linspace(0, 1, 201)  # False-positive rates at which the band is computed


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
        probabilities, labels, classes, positive: as for `ClassPanels`.
        intervals: 95% bounds of each class's AUC, then of their mean, to be written behind it.
        patients: the patient of each case, who are resampled for the band; None: every case is a patient.
        draws, seed: of the resampling; 0 draws for no band.

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    from sklearn.metrics import roc_curve

    drawn = ClassPanels(probabilities, labels, classes, positive, 5.6, 5.9)
    patient, n = number_patients(patients, len(drawn.label)), len(drawn.label)
    predicted, scores = drawn.probability.argmax(axis=1), class_scores(drawn.probability)
    aucs = []
    for axes, k, is_it in drawn:
        unit_square(axes)
        axes.plot([0, 1], [0, 1], label=CHANCE, **DASHED)
        title, score = drawn.counted(k), scores[:, k]
        if is_it.all() or not is_it.any():
            _write(axes, f"{title}: AUC undefined", drawn.single)
            continue
        aucs.append(float(weighted_auc(score, is_it, np.ones((1, n)))[0]))
        if draws > 0 and patient.max() > 0:
            draw_band(axes, RATES, band(partial(sensitivity_at, score, is_it, RATES), patient, draws, seed))
        false_positive, sensitivity, _ = roc_curve(is_it, score, drop_intermediate=False)
        title = f"{title}: AUC {aucs[-1]:.3f}{interval_text(intervals, k)}"
        axes.plot(false_positive, sensitivity, color=COLOURS[0], linewidth=2, label=title)
        point = ((predicted == k)[~is_it].mean(), (predicted == k)[is_it].mean())
        dot = axes.plot(*point, "o", color=COLOURS[0], markersize=8, markeredgecolor="white", zorder=3)[0]
        dot.set(clip_on=False, label=WORKING_POINT)
        _write(axes, title, drawn.single)
    this, other = drawn.shown[0], 1 - drawn.shown[0]
    return drawn.finish(
        "ROC", name, f"{drawn.names[this]} against {drawn.names[other]}, n = {n}",
        "1 − specificity (false-positive rate)", "sensitivity (true-positive rate)",
        path, {"loc": "lower right"}, (CHANCE, BAND, WORKING_POINT),
        f"; mean AUC {np.mean(aucs):.3f}{interval_text(intervals, -1)}" if aucs else "",
    )  # fmt: skip


def _write(axes: Axes, title: str, single: bool) -> None:
    """Write what a panel shows: over it where there are several, in the middle where it has no curve."""
    if not single:
        axes.set_title("\n".join(title.split(": ", 1)), fontsize=9)
    elif "undefined" in title:
        axes.text(0.5, 0.5, title.replace(": ", ":\n"), ha="center", color=GREY, fontsize=9)
