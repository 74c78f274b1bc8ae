"""Reliability diagram: are the probabilities as often right as they say?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.cases.positive import positive_index
from scripts.figures.style import COLOURS, GREY, new_figure, plain_axes, save_figure
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.scores import brier_score, expected_calibration_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CASES_PER_BIN = 15


def reliability_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    uncalibrated: ArrayLike | None = None,
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw, over the predicted probability, the share of cases that have the class, and their number.

    With two classes: of the cases with P(positive class) in each of 10 steps, the share that has this class.
    With more: of the cases whose highest probability lies in each step, the share predicted right. With fewer
    than 150 cases there are 5 steps. Bars are 95% Wilson intervals; below stands the number of cases of each
    step. On the diagonal, saying and truth agree; under it, the model is too sure of the class.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        uncalibrated: the probabilities before the division by the temperature, drawn in grey.
        path: where to save the figure, too.
        positive: with two classes, the name of the positive one; None is the last.

    Shape:
        probabilities and uncalibrated: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    k = positive_index(classes, positive) if len(classes) == 2 else None
    steps = 10 if len(label) >= 10 * CASES_PER_BIN else 5
    figure = new_figure(5.6, 7.2)
    names = figure.names(classes, "class")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.15))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated")
    if uncalibrated is not None:
        before = as_probabilities(uncalibrated, classes)
        said, share, _, _ = _bins(before, label, steps, k)
        axes.plot(
            said, share, "o--", color=GREY, markersize=4, linewidth=1, label=_legend("before", before, label)
        )
    said, share, count, bounds = _bins(probability, label, steps, k)
    axes.errorbar(
        said,
        share,
        yerr=np.abs(bounds - share),
        fmt="o-",
        color=COLOURS[0],
        markersize=6,
        linewidth=1.8,
        elinewidth=1.2,
        capsize=3,
        label=_legend("calibrated" if uncalibrated is not None else "model", probability, label),
    )
    edges = np.linspace(0, 1, steps + 1)
    number = np.bincount(_bin(_said(probability, k), steps), minlength=steps)
    bars = below.bar(edges[:-1], number, width=1 / steps, align="edge", color=COLOURS[0], alpha=0.5)
    bars_with_cases = [str(n) if n else "" for n in number]
    below.bar_label(bars, bars_with_cases, fontsize=8, padding=1)
    below.set(ylabel="cases", ylim=(0, max(1, number.max()) * 1.3))
    what = "the predicted class" if k is None else names[k]
    below.set_xlabel(f"predicted probability of {what}")
    axes.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        ylabel="share of cases predicted right" if k is None else f"share of cases that are {what}",
    )
    axes.set_yticks(np.linspace(0, 1, 6))
    below.set_xticks(np.linspace(0, 1, 6))
    for panel in (axes, below):
        plain_axes(panel)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=8, frameon=False)
    axes.set_title(f"Reliability{f', {name}' if name else ''}: n = {int(count.sum())}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


def _said(probability: np.ndarray, k: int | None) -> np.ndarray:
    """Return the probability that is looked at: of class k, or where that is None of the predicted one."""
    return probability.max(axis=1) if k is None else probability[:, k]


def _bin(said: np.ndarray, steps: int) -> np.ndarray:
    """Return the step in which each probability lies."""
    return np.clip((said * steps).astype(np.int64), 0, steps - 1)


def _bins(probability: np.ndarray, label: np.ndarray, steps: int, k: int | None) -> tuple[Any, Any, Any, Any]:
    """Return mean probability, share, number of cases and Wilson bounds [2, b] of the b steps with cases."""
    from scipy.stats import binomtest

    said = _said(probability, k)
    true = probability.argmax(axis=1) == label if k is None else label == k
    number = _bin(said, steps)
    used = np.unique(number)
    mean = np.array([said[number == b].mean() for b in used])
    hits = np.array([int(true[number == b].sum()) for b in used])
    count = np.array([int((number == b).sum()) for b in used])
    found = [
        binomtest(int(h), int(n)).proportion_ci(method="wilson") for h, n in zip(hits, count, strict=True)
    ]
    return mean, hits / count, count, np.array([[i.low for i in found], [i.high for i in found]])


def _legend(text: str, probability: np.ndarray, label: np.ndarray) -> str:
    """Write the scores behind a curve's name."""
    brier, error = brier_score(probability, label)[0], expected_calibration_error(probability, label)[0]
    return f"{text}: Brier score {brier:.3f}, calibration error {error:.3f}"
