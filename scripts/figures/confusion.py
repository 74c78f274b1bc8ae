"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.cases.positive import positive_index
from scripts.figures.style import new_figure, saved
from scripts.figures.text import columns, wrap
from scripts.metrics.predictions import as_labels, as_probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def confusion_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    path: str | Path | None = None,
    positive: str | None = None,
) -> Figure:
    """Draw the cases per true class (row) and predicted class (column): left as counts, right as rates.

    The predicted class is the one with the highest probability. Rates are of the true class (row), and colour
    follows them in both panels, so a rare class is as visible as a frequent one. The diagonal holds the right
    predictions; its rates are the sensitivities.

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
    if turn:  # several lines would lie over each other
        one_line = figure.names(classes, "class")
        names = [one + (" (positive)" if k == positive_at else "") for k, one in enumerate(one_line)]
    for axes in (left, right):
        axes.set_xticks(range(size), names, fontsize=font, rotation=turn, ha="right" if turn else "center")
        axes.set_xlabel("predicted class", fontsize=11)
    left.set_yticks(
        range(size), [f"{n}\n(n = {total})" for n, total in zip(names, totals, strict=True)], fontsize=font
    )
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
    """Draw one matrix with a text in each cell; frame the diagonal; return the image for the colour bar."""
    from matplotlib.patches import Rectangle

    size = len(share)
    image = axes.imshow(share * 100, cmap="Blues", vmin=0, vmax=100)
    font = min(15.0, max(4.0, 0.6 * side / size * 72 / 3.2))
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
