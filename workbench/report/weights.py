# SPDX-License-Identifier: Apache-2.0
"""Fusion weights of the phases: box plots per true class, and phase_weights.csv."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.engines.evaluation import show_figures
from scripts.figures.panels import DASHED, GREY, line_style, new_figure, plain_axes, saved
from scripts.figures.text import wrap
from scripts.metrics.predictions import as_labels
from scripts.networks.encoders.views import token_names
from torch import nn
from workbench.explain.listening import FusionWeights
from workbench.report.features import ListeningReport, write_case_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

TABLE = "clinical table"
SHARE: dict[str, Any] = {"color": GREY, "fontsize": 9, "va": "center"}


def plot_weights(
    weights: ArrayLike,
    labels: ArrayLike,
    tokens: Sequence[str],
    classes: Sequence[str],
    name: str = "fusion weights",
    path: str | Path | None = None,
) -> Figure:
    """Draw box plots of each token's weight over the cases of each true class.

    A box spans the quartiles, its line is the median, the whiskers reach the 5th and 95th percentile. Cases
    without a token (weight 0) are left out of its boxes; their number is written below. The dashed line is an
    equal share for all.

    Args:
        weights: the ``weights`` or ``gates`` of a fusion, one row per case.
        tokens: M names, of the phases and, if there is one, of the clinical table.
        name: what the weights are, for the title.

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
    axes.axhline(1 / len(tokens), **DASHED)
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
    return saved(figure, path)


def weight_names(phases: Sequence[str], views: Sequence[str], count: int) -> list[str]:
    """Name `count` tokens: each view of each phase, or each phase; the clinical table comes last.

    >>> weight_names(["pre", "portal"], [], 3), weight_names(["pre"], ["axial"], 2)
    (['pre', 'portal', 'clinical table'], ['pre axial', 'clinical table'])
    """
    tokens = token_names(list(phases), list(views))
    return [*(tokens if count >= len(tokens) else phases), TABLE][:count]


class FusionReport(ListeningReport):
    """Base class of the reports on a fusion.

    Args:
        phases: P names, one token each; a clinical table adds another, last token.
        views: names of the views; each view of each phase is then a token, named e.g. "portal axial".
        network, output_dir, classes, name: as for `ListeningReport`.
    """

    def __init__(
        self,
        network: nn.Module,
        phases: Sequence[str],
        output_dir: str | Path,
        classes: Sequence[str],
        name: str = "test",
        views: Sequence[str] = (),
    ) -> None:
        super().__init__(network, output_dir, classes, name)
        self.phases = list(phases)
        self.views = list(views)


class WeightReport(FusionReport):
    """Writes the weights that the fusion gave to the phases, for strategies that compute weights.

    When an evaluation ends it writes into `output_dir`

        phase_weights.csv   case, true, predicted, one weight per phase, and one of the clinical table
        phase_weights.png   their distribution over the cases of each true class

    and shows the figure in TensorBoard. The weights are collected during the evaluation, without a second pass
    through the network; they sum to 1 in each case, and an absent phase has 0. With test-time augmentation or an
    ensemble they are averaged like the probabilities; for a hybrid see `FusionWeights`. If a strategy weights all
    phases of every case equally, only a line in the log says so. Cases whose class is not known are in the table,
    but in the figure only if no class is known at all.

    Args and Raises: those of `FusionReport`.
    """

    listener = FusionWeights

    def names(self, count: int) -> list[str]:
        """Name `count` weights (see `weight_names`), followed by the levels of a hybrid that fuse all phases early."""
        levels = [] if self.heard is None else self.heard.levels_together
        together = [f"all together (level {number})" for number in levels]
        views = [] if together else self.views
        return [*weight_names(self.phases, views, count - len(together)), *together]

    def write(self, device: str) -> None:
        """Write the table and the figure."""
        if not self.notes:
            return
        weights = np.stack([self.notes[p.case] for p in self.predictions])
        if np.allclose(weights, weights.max(axis=1, keepdims=True) * (weights > 0), atol=1e-6):
            logger.info("%s: no figure of the phases' weights, this strategy gives all the same", self.name)
            return
        tokens = self.names(weights.shape[1])
        columns = dict(zip(tokens, weights.T, strict=True))
        write_case_table(self.output_dir / "phase_weights.csv", self.predictions, self.classes, columns)
        known = np.array([p.label is not None for p in self.predictions])
        classes, labels = self.classes, [p.label for p in self.predictions if p.label is not None]
        if not known.any():
            classes, labels, known = ["not known"], [0] * len(weights), ~known
        title, file = (f"Weight of each phase in the fusion, {self.name}", self.output_dir / "phase_weights.png")
        figure = plot_weights(weights[known], labels, tokens, classes, title, file)
        show_figures(self.output_dir, self.name, {"phase_weights": figure})
