"""How much each phase counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels
from scripts.evaluation.plots.style import GREY, line_style, new_figure, plain_axes, save_figure, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARE: dict[str, Any] = {"color": GREY, "fontsize": 9, "va": "center"}


def plot_weights(
    weights: ArrayLike,
    labels: ArrayLike,
    tokens: Sequence[str],
    classes: Sequence[str],
    name: str = "fusion weights",
    path: str | Path | None = None,
) -> Figure:
    """Draw the distribution of each token's weight over the cases of each true class, as boxes.

    A box spans the quartiles, its line is the median, the whiskers reach the 5th and 95th percentile. Cases
    without a token (weight 0) are left out of its boxes; their number stands below. The dashed line is an
    equal share for all.

    Args:
        weights: what a fusion gives as ``weights``, or ``gates``: one row per case.
        labels: index of the true class of each case.
        tokens: M names, of the phases and, where there is one, of the clinical table.
        classes: K class names.
        name: what the weights are, for the title.
        path: where to save the figure, too.

    Shape:
        weights: [n, M]. labels: [n].

    Raises:
        ValueError: shapes that do not agree, a weight that is negative or not finite.
    """
    weight = np.asarray(weights, dtype=float)
    if weight.ndim != 2 or weight.shape[1] != len(tokens):
        raise ValueError(f"weights must be [n, {len(tokens)}], one per token, found {list(weight.shape)}")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("weights must be finite and not negative; give those of the fusion's aux output")
    label = as_labels(labels, len(weight), len(classes))
    figure = new_figure(min(13.0, 2.2 + 0.5 * len(tokens) * (len(classes) + 0.6)), 4.4)
    room = max(10, int(10 * (figure.get_figwidth() - 2.2) / len(tokens)))  # columns below its boxes
    axes = figure.add_subplot()
    shown_classes, shown_tokens = figure.names(classes, "class"), figure.names(tokens, "phase", 3 * room)
    axes.axhline(1 / len(tokens), color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    axes.text(1.01, 1 / len(tokens), "equal share", transform=axes.get_yaxis_transform(), **SHARE)
    step = len(classes) + 1
    for k, class_name in enumerate(shown_classes):
        colour, _ = line_style(k)
        shown = [weight[(label == k) & (weight[:, m] > 0), m] for m in range(len(tokens))]
        boxes = axes.boxplot(
            shown,
            positions=[m * step + k for m in range(len(tokens))],
            widths=0.75,
            whis=(5, 95),
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            medianprops={"color": "black"},
        )
        for box in boxes["boxes"]:
            box.set(facecolor=colour, alpha=0.6)
        axes.plot([], [], "s", color=colour, alpha=0.6, markersize=9, label=class_name)
    absent = [int((weight[:, m] == 0).sum()) for m in range(len(tokens))]
    names = [
        f"{wrap(token, room)}\n({count} missing)" if count else wrap(token, room)
        for token, count in zip(shown_tokens, absent, strict=True)
    ]
    axes.set_xticks([m * step + (len(classes) - 1) / 2 for m in range(len(tokens))], names)
    axes.set(ylabel="weight", ylim=(0, max(1.0, float(weight.max())) * 1.02))
    axes.set_title(f"{name}, n = {len(weight)}", fontsize=11)
    plain_axes(axes)
    axes.grid(visible=False, axis="x")
    axes.legend(title="true class", fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if path is not None:
        save_figure(figure, path)
    return figure
