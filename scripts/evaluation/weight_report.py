"""The handler that writes how much each phase counted."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from scripts.evaluation.case_handler import Case, CaseHandler, Prediction
from scripts.evaluation.case_table import write_case_table
from scripts.evaluation.plots import plot_weights
from scripts.evaluation.tensorboard import show_figures

logger = logging.getLogger(__name__)

TABLE = "clinical table"


def weight_names(phases: Sequence[str], views: Sequence[str], count: int) -> list[str]:
    """Name `count` tokens: each view of each phase, or each phase; that of the clinical table comes last.

    >>> weight_names(["pre", "portal"], [], 3), weight_names(["pre"], ["axial"], 2)
    (['pre', 'portal', 'clinical table'], ['pre axial', 'clinical table'])
    """
    from scripts.networks.view_encoder import token_names

    tokens = token_names(list(phases), list(views))
    return [*(tokens if count >= len(tokens) else phases), TABLE][:count]


class FusionReport(CaseHandler):
    """What the reports on a fusion share: they listen to the network while cases pass.

    Args:
        network: the network that the evaluator runs.
        phases: P names; one token each, and a further, last one for the clinical table.
        output_dir: folder of the results, made if missing.
        classes: K class names.
        name: what is evaluated, e.g. "test"; heads the figure.
        views: names of the views; then each view of each phase is a token, named "portal axial".

    Raises:
        ValueError: as for `CaseHandler`.
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
        super().__init__(output_dir, classes, name)
        self.network = network
        self.phases = list(phases)
        self.views = list(views)
        self.heard: Any = None

    @abstractmethod
    def listener(self) -> Any:
        """Return what collects from the network until its ``remove``, and gives it by ``take``."""

    def start(self) -> None:
        """Listen to the fusion."""
        self.heard = self.listener()

    def stop(self) -> None:
        """Stop listening."""
        if self.heard is not None:
            self.heard.remove()


class WeightReport(FusionReport):
    """Writes the weights that the fusion gave to the phases, where its strategy gives weights.

    When an evaluation ends it writes into `output_dir`

        phase_weights.csv   case, true, predicted, one weight per phase, and one of the clinical table
        phase_weights.png   their distribution over the cases of each true class

    and shows the figure in TensorBoard. The weights are those of the evaluation itself, no case passes
    through the network twice; they sum to 1 in a case, an absent phase has 0. With test-time augmentation, or
    an ensemble, they are averaged as the probabilities are; of a hybrid see `FusionWeights`. Where a strategy
    weighs all phases of every case alike, nothing is written but a line in the log. Cases whose class is not
    known are in the table, and in the figure only where no class is known at all.

    Args and Raises: those of `FusionReport`.
    """

    def listener(self) -> Any:
        """Listen to the weights."""
        from scripts.networks.fusion_weights import FusionWeights

        return FusionWeights(self.network)

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note the weights [M] of each case."""
        found = None if self.heard is None else self.heard.take()
        if found is not None:
            self.notes |= {p.case: row for p, row in zip(predictions, found.numpy(), strict=True)}

    def names(self, count: int) -> list[str]:
        """Name `count` weights: see `weight_names`; behind them the levels of a hybrid that fuse early."""
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
        figure = plot_weights(
            weights[known],
            labels,
            tokens,
            classes,
            name=f"Weight of each phase in the fusion, {self.name}",
            path=self.output_dir / "phase_weights.png",
        )
        show_figures(self.output_dir, self.name, {"phase_weights": figure})
