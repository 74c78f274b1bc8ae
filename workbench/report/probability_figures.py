# SPDX-License-Identifier: Apache-2.0
"""Figures of the predicted probabilities: precision over recall, reliability diagram and decision curve."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scripts.cases.positive import positive_index
from scripts.figures.panels import (
    COLOURS,
    DASHED,
    GREY,
    ClassPanels,
    draw_band,
    interval_text,
    new_figure,
    plain_axes,
    saved,
    unit_square,
)
from scripts.metrics.interval import band, number_patients
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.scores import brier_score, expected_calibration_error, net_benefit, weighted_average_precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_SKILL = "no skill: the prevalence of the class"
CASES_PER_BIN = 15
THRESHOLDS = np.linspace(0.01, 0.99, 99)  # Risks at which the decision curve is computed


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
    dashed line is the prevalence, the precision of a classifier without skill. The average precision is the area
    under the steps.

    Args and Raises: as for `roc_figure`; the intervals are those of the average precision.
    """
    from sklearn.metrics import precision_recall_curve

    drawn = ClassPanels(probabilities, labels, classes, positive, 5.6, 5.9)
    for axes, k, is_it in drawn:
        unit_square(axes)
        if is_it.all() or not is_it.any():
            text = f"{drawn.counted(k)}:\nundefined"
            axes.text(0.5, 0.5, text, ha="center", color=GREY, fontsize=9)
            continue
        score = drawn.probability[:, k]
        precision, recall, _ = precision_recall_curve(is_it, score)
        average = weighted_average_precision(score, is_it, np.ones((1, len(score))))[0]
        area = f"average precision {average:.3f}{interval_text(intervals, k)}"
        axes.step(recall, precision, where="post", color=COLOURS[0], linewidth=2, label=area)
        axes.axhline(is_it.mean(), label=NO_SKILL, **DASHED)
        if not drawn.single:
            axes.set_title(f"{drawn.counted(k)}\n{area}", fontsize=9)
    return drawn.finish(
        "Precision and recall", name, f"{drawn.counted(drawn.shown[0])}, n = {len(drawn.label)}",
        "recall = sensitivity", "precision = positive predictive value",
        path, {"loc": "lower left"}, (NO_SKILL,),
    )  # fmt: skip


def decision_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    threshold: float | None = None,
    patients: Sequence[str] | None = None,
    draws: int = 500,
    seed: int = 0,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the net benefit of acting on the model over the threshold probability, the risk from which one acts.

    The model is worth following where its curve lies above both others: acting on every case, and on none. With
    two classes there is one panel, of the positive class, in which the threshold fitted on the validation split is
    marked; with more, one per class against the rest.

    Args and Raises: as for `roc_figure`.

    Reference: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26, 2006.
    """
    drawn = ClassPanels(probabilities, labels, classes, positive, 6.4, 4.8)
    patient = number_patients(patients, len(drawn.label))
    for axes, k, is_it in drawn:
        _draw_benefit(axes, drawn.probability[:, k], is_it, patient, draws, seed)
        if not drawn.single:
            axes.set_title(f"{drawn.names[k]} ({int(is_it.sum())})", fontsize=10)
    if drawn.single and threshold is not None:
        drawn.panels[0].axvline(threshold, color="black", linewidth=1, ls=":", label="the model's threshold")
    if not drawn.single:
        drawn.panels[0].legend(loc="upper right", fontsize=7, framealpha=0.9)
    k, n = drawn.shown[0], len(drawn.label)
    risk = f"risk of {drawn.names[k]}" if drawn.single else "risk of the class"
    return drawn.finish(
        "Decision curve", name, f"{drawn.names[k]}, {int((drawn.label == k).sum())} of n = {n}",
        f"{risk} from which one would act", "net benefit (true positives per case)",
        path, {"loc": "upper right"},
    )  # fmt: skip


def _draw_benefit(
    axes: Axes, risk: np.ndarray, positive: np.ndarray, patient: np.ndarray, draws: int, seed: int
) -> None:
    """Draw the curves of model, everybody and nobody for one class; a class without cases has none."""
    axes.set_xlim(0, 1)
    plain_axes(axes)
    if not positive.any():
        text = "no case of this class:\nundefined"
        axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=9)
        axes.set(yticks=[])
        return
    if draws > 0 and patient.max() > 0:
        draw_band(axes, THRESHOLDS, band(partial(net_benefit, risk, positive, THRESHOLDS), patient, draws, seed))
    model, everybody = (net_benefit(worth, positive, THRESHOLDS)[0] for worth in (risk, np.ones(len(risk))))
    axes.plot(THRESHOLDS, model, color=COLOURS[0], linewidth=2, label="act as the model says")
    axes.plot(THRESHOLDS, everybody, "--", color=COLOURS[1], linewidth=1.5, label="act on every case")
    axes.axhline(0, color=GREY, linewidth=1.5, label="act on no case")
    top = max(float(positive.mean()), 0.02)
    axes.set(xlim=(0, 1), ylim=(-0.3 * top, 1.25 * top))


def reliability_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    uncalibrated: ArrayLike | None = None,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the observed frequency of a class over its predicted probability, and the number of cases per bin.

    With two classes: among the cases with P(positive class) in each of 10 bins, the share that has this class.
    With more: among the cases whose highest probability lies in each bin, the share predicted correctly. With
    fewer than 150 cases there are 5 bins. Bars are 95% Wilson intervals; the lower panel has the number of cases
    per bin. On the diagonal, probability and frequency agree; below it, the model is overconfident. The grey line
    is for `uncalibrated`, the probabilities [n, K] before the division by the temperature.

    Args and Raises: as for `roc_figure`.
    """
    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    k = positive_index(classes, positive) if len(classes) == 2 else None
    steps = 10 if len(label) >= 10 * CASES_PER_BIN else 5
    figure = new_figure(5.6, 7.2)
    what = "the predicted class" if k is None else figure.names(classes, "class")[k]
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.15))
    axes.plot([0, 1], [0, 1], label="perfectly calibrated", **DASHED)
    if uncalibrated is not None:
        before = as_probabilities(uncalibrated, classes)
        mean, share, _, _ = reliability_steps(before, label, steps, k)
        line = {"color": GREY, "markersize": 4, "linewidth": 1, "label": _legend("before", before, label)}
        axes.plot(mean, share, "o--", **line)
    mean, share, number, bounds = reliability_steps(probability, label, steps, k)
    axes.errorbar(
        mean,
        share,
        yerr=np.abs(bounds - share),
        fmt="o-",
        color=COLOURS[0],
        markersize=6,
        linewidth=1.8,
        elinewidth=1.2,
        capsize=3,
        label=_legend("model" if uncalibrated is None else "calibrated", probability, label),
    )
    edges = np.linspace(0, 1, steps + 1)
    bars = below.bar(edges[:-1], number, width=1 / steps, align="edge", color=COLOURS[0], alpha=0.5)
    below.bar_label(bars, [str(n) if n else "" for n in number], fontsize=8, padding=1)
    below.set(ylabel="cases", ylim=(0, max(1, number.max()) * 1.3))
    below.set_xlabel(f"predicted probability of {what}")
    below.set_xticks(np.linspace(0, 1, 6))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), yticks=np.linspace(0, 1, 6))
    axes.set_ylabel("share of cases predicted right" if k is None else f"share of cases that are {what}")
    for panel in (axes, below):
        plain_axes(panel)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=8, frameon=False)
    axes.set_title(f"Reliability{f', {name}' if name else ''}: n = {len(label)}", fontsize=11)
    return saved(figure, path)


def reliability_steps(
    probability: np.ndarray, label: np.ndarray, steps: int, k: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean probability [b], share [b], number of cases [steps] and Wilson bounds [2, b]; b bins have cases.

    Probability and share are those of class k, or if that is None, of the predicted class.
    """
    from scipy.stats import binomtest

    said = probability.max(axis=1) if k is None else probability[:, k]
    true = probability.argmax(axis=1) == label if k is None else label == k
    step = np.clip((said * steps).astype(np.int64), 0, steps - 1)
    used = np.unique(step)
    mean = np.array([said[step == b].mean() for b in used])
    hits, count = (np.array([int(part[step == b].sum()) for b in used]) for part in (true, np.ones_like(step)))
    found = [binomtest(int(h), int(n)).proportion_ci(method="wilson") for h, n in zip(hits, count, strict=True)]
    bounds = np.array([[i.low for i in found], [i.high for i in found]])
    return mean, hits / count, np.bincount(step, minlength=steps), bounds


def _legend(text: str, probability: np.ndarray, label: np.ndarray) -> str:
    """Return a curve's name followed by its scores."""
    brier, error = brier_score(probability, label)[0], expected_calibration_error(probability, label)[0]
    return f"{text}: Brier score {brier:.3f}, calibration error {error:.3f}"
