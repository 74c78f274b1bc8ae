"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_probabilities
from scripts.evaluation.plots.style import new_figure, save_figure, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_figure(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    name: str = "",
    path: str | Path | None = None,
) -> Figure:
    """Draw the number of cases per true class (row) and predicted class (column), with the row percentage.

    The predicted class is the one with the highest probability. Colour follows the row percentage, so a rare
    class is as visible as a frequent one. The diagonal holds the right predictions; its percentages are the
    sensitivities.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        name: what was evaluated, for the title.
        path: where to save the figure, too.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: as for `classification_table`; a folder that cannot be written.
    """
    from matplotlib.patches import Rectangle
    from sklearn.metrics import confusion_matrix

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    size = len(classes)
    counts = confusion_matrix(label, probability.argmax(axis=1), labels=np.arange(size))
    totals = counts.sum(axis=1)
    share = np.divide(counts, totals[:, None], out=np.zeros(counts.shape), where=totals[:, None] > 0)

    width = min(14.0, 3.6 + 0.8 * size)
    figure = new_figure(width, width * 0.86)
    axes = figure.add_subplot()
    image = axes.imshow(share * 100, cmap="Blues", vmin=0, vmax=100)
    cell = 0.6 * width / size * 72
    for i in range(size):
        axes.add_patch(
            Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#222222", linewidth=1.6, clip_on=False)
        )
        for j in range(size):
            axes.text(
                j,
                i,
                _cell_text(int(counts[i, j]), float(share[i, j]), int(totals[i])),
                ha="center",
                va="center",
                fontsize=min(15.0, max(4.0, cell / 4.2)),
                color="white" if share[i, j] > 0.55 else "black",
            )
    font = 10 if size <= 12 else 7
    names = [wrap(label_name) for label_name in classes]
    longest = max(len(line) for label_name in names for line in label_name.split("\n"))
    turn = 0 if longest * font < 72 * width * 0.95 / size else 40
    axes.set_xticks(range(size), names, fontsize=font, rotation=turn, ha="right" if turn else "center")
    axes.set_yticks(
        range(size), [f"{n}\n(n = {total})" for n, total in zip(names, totals, strict=True)], fontsize=font
    )
    axes.set_xlabel("predicted class", fontsize=11)
    axes.set_ylabel("true class", fontsize=11)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    right = int(np.trace(counts))
    heading = f"{name}: " if name else ""
    axes.set_title(f"{heading}{right} of {len(label)} cases right ({right / len(label):.1%})", fontsize=12)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.03)
    bar.set_label("% of the true class", fontsize=9)
    bar.outline.set_visible(False)
    if path is not None:
        save_figure(figure, path)
    return figure


def _cell_text(count: int, share: float, total: int) -> str:
    """Write one cell: the count, and under it the row percentage where the row has cases."""
    return f"{count}\n{share:.0%}" if total > 0 else "–"
