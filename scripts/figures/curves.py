# SPDX-License-Identifier: Apache-2.0
"""ROC and confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.cases.positive import positive_index
from scripts.figures.panels import (
    BAND,
    COLOURS,
    DASHED,
    GREY,
    ClassPanels,
    draw_band,
    interval_text,
    new_figure,
    saved,
    unit_square,
)
from scripts.figures.text import columns, wrap
from scripts.metrics.interval import band, number_patients
from scripts.metrics.predictions import as_labels, as_probabilities
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
    against the rest. The dot on each curve is the operating point of the table: the class with the highest
    probability is predicted. The panel of a class whose AUC is undefined says so and has no curve.

    Args:
        probabilities, labels, classes, positive: as for `ClassPanels`.
        intervals: 95% bounds of each class's AUC, then of their mean, written after the value.
        patients: the patient of each case, the unit of resampling for the band; None: every case is a patient.
        draws, seed: number of bootstrap draws (0: no band) and their seed.

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
    """Title a panel if there are several; a single one without a curve gets its text in the middle."""
    if not single:
        axes.set_title("\n".join(title.split(": ", 1)), fontsize=9)
    elif "undefined" in title:
        axes.text(0.5, 0.5, title.replace(": ", ":\n"), ha="center", color=GREY, fontsize=9)


def confusion_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the cases per true class (row) and predicted class (column): left as counts, right as rates.

    The predicted class is the one with the highest probability. Rates are relative to the true class (row) and
    set the colour in both panels, so that a rare class is as visible as a frequent one. The diagonal holds the
    correct predictions; its rates are the sensitivities.

    Args and Raises: as for `roc_figure`; the positive one of two classes is marked.
    """
    from sklearn.metrics import confusion_matrix

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    size = len(classes)
    counts = confusion_matrix(label, probability.argmax(axis=1), labels=np.arange(size))
    totals = counts.sum(axis=1)
    share = np.divide(counts, totals[:, None], out=np.zeros(counts.shape), where=totals[:, None] > 0)

    side = min(8.5, 2.9 + 0.62 * size)
    figure = new_figure(2 * side + 0.6, side)
    left, right = figure.subplots(1, 2)
    _draw(left, share, [[str(n) if totals[i] else "–" for n in row] for i, row in enumerate(counts)], side)
    rates = [[f"{rate:.0%}" if totals[i] else "–" for rate in row] for i, row in enumerate(share)]
    image = _draw(right, share, rates, side)
    left.set_title("number of cases", fontsize=11)
    right.set_title("% of the true class", fontsize=11)
    font = 10 if size <= 6 else 8 if size <= 12 else 7
    shown = figure.names(classes, "class", 24 if size > 4 else 40)
    positive_at = positive_index(classes, positive) if positive is not None else None
    names = [wrap(one) + ("\n(positive)" if k == positive_at else "") for k, one in enumerate(shown)]
    longest = max(columns(line) for label_name in names for line in label_name.split("\n"))
    turn = 0 if longest * font < 72 * side * 0.75 / size else 40
    if turn:  # turned names of several lines would overlap
        one_line = figure.names(classes, "class")
        names = [one + (" (positive)" if k == positive_at else "") for k, one in enumerate(one_line)]
    for axes in (left, right):
        axes.set_xticks(range(size), names, fontsize=font, rotation=turn, ha="right" if turn else "center")
        axes.set_xlabel("predicted class", fontsize=11)
    left.set_yticks(range(size), [f"{n}\n(n = {total})" for n, total in zip(names, totals, strict=True)], fontsize=font)
    left.set_ylabel("true class", fontsize=11)
    right.set_yticks([])
    hits = int(np.trace(counts))
    heading = f"{name}: " if name else ""
    figure.suptitle(f"{heading}{hits} of {len(label)} cases right ({hits / len(label):.1%})", fontsize=12)
    bar = figure.colorbar(image, ax=right, shrink=0.75, pad=0.03)
    bar.set_label("% of the true class", fontsize=9)
    bar.outline.set_visible(False)
    return saved(figure, path)


def _draw(axes: Axes, share: np.ndarray, text: Sequence[Sequence[str]], side: float) -> Any:
    """Draw one matrix with a text in each cell and a framed diagonal; return the image for the colour bar."""
    from matplotlib.patches import Rectangle

    size = len(share)
    image = axes.imshow(share * 100, cmap="Blues", vmin=0, vmax=100)
    font = min(15.0, max(4.0, 0.6 * side / size * 72 / 3.2))  # points; a cell is about 0.6 side / size inches wide
    for i in range(size):
        axes.add_patch(
            Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#222222", linewidth=1.6, clip_on=False)
        )
        for j in range(size):
            colour = "white" if share[i, j] > 0.55 else "black"
            axes.text(j, i, text[i][j], ha="center", va="center", fontsize=font, color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
