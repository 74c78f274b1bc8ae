# SPDX-License-Identifier: Apache-2.0
"""Reports that collect outputs inside a network during an evaluation, and the report on its fused features."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.engines.case_handler import Case, CaseHandler, Prediction
from scripts.engines.evaluation import FOLDER, no_host, show_figures
from scripts.files.atomic import write_table
from torch import nn
from workbench.explain.listening import FusedFeatures
from workbench.report.embedding_figure import embedding_figure, neighbour_map, perplexity_of, principal_components

logger = logging.getLogger(__name__)

LEAST = 5  # Fewer cases cannot show groups


def case_columns(predictions: Sequence[Prediction], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns case, true (empty if the class is not known) and predicted."""
    return {
        "case": [p.case for p in predictions],
        "true": ["" if p.label is None else classes[p.label] for p in predictions],
        "predicted": [classes[p.predicted] for p in predictions],
    }


def write_case_table(
    path: Path, predictions: Sequence[Prediction], classes: Sequence[str], columns: Mapping[str, np.ndarray]
) -> Path:
    """Write case, true, predicted and further columns of numbers, with 9 digits, which identify a float32.

    Raises:
        ValueError: the folder cannot be written.
    """
    numbers = {name: [f"{value:.9g}" for value in values] for name, values in columns.items()}
    table = case_columns(predictions, classes) | numbers
    return write_table(path, table, zip(*table.values(), strict=True))


class ListeningReport(CaseHandler):
    """Collects further outputs of a network during an evaluation: `notes`, by case.

    Args:
        network: the network that the evaluator runs.
        output_dir, classes, name: as for `CaseHandler`.

    Attributes:
        listener: constructor, taking the network, of an object that collects until ``remove`` is called, and
            returns [B, ...] by ``take``.

    Raises:
        ValueError: as for `CaseHandler`.
    """

    listener: Callable[[nn.Module], Any]

    def __init__(self, network: nn.Module, output_dir: str | Path, classes: Sequence[str], name: str = "test") -> None:
        super().__init__(output_dir, classes, name)
        self.network = network
        self.heard: Any = None

    def start(self) -> None:
        self.heard = type(self).listener(self.network)

    def stop(self) -> None:
        if self.heard is not None:
            self.heard.remove()

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note what was collected of each case; nothing if the network does not provide it."""
        found = None if self.heard is None else self.heard.take()
        if found is not None:
            self.notes |= {p.case: row for p, row in zip(predictions, found.numpy(), strict=True)}


class FeatureReport(ListeningReport):
    """Writes the fused features of all cases, and maps of them.

    When an evaluation ends it writes into `output_dir`

        features.csv        case, true, predicted, the coordinates of both maps, F features
        features_pca.png    the first two principal components of the features
        features_tsne.png   a t-SNE map of them: cases that look alike to the network lie close together

    and shows the figures in TensorBoard, whose projector displays the features in three dimensions. For the
    definition of the features see `FusedFeatures`; they are collected during the evaluation. With test-time
    augmentation they are the mean over the transforms of a case. The figures need 5 cases whose features are not
    all equal, and nothing is written for a network without fused features; a line in the log says so.

    Args and Raises: those of `ListeningReport`; the seed is that of the t-SNE map.
    """

    listener = FusedFeatures

    def __init__(
        self, network: nn.Module, output_dir: str | Path, classes: Sequence[str], seed: int = 0, name: str = "test"
    ) -> None:
        super().__init__(network, output_dir, classes, name)
        self.seed = seed

    def write(self, device: str) -> None:
        """Write the table, the figures and the projector's files."""
        if not self.notes:
            logger.info("%s: no figure of fused features, this network has none", self.name)
            return
        features = np.stack([self.notes[p.case] for p in self.predictions])
        maps: dict[str, np.ndarray] = {}
        if len(features) < LEAST:
            logger.info("%s: no figure of the features, it needs %d cases", self.name, LEAST)
        elif features.shape[1] < 2 or not features.std(axis=0).any():
            logger.info("%s: no figure of the features, they are alike in all cases", self.name)
        else:
            maps = self._draw(features)
        numbers = {f"feature_{f + 1}": column for f, column in enumerate(features.T)}
        write_case_table(self.output_dir / "features.csv", self.predictions, self.classes, maps | numbers)
        self._project(features)

    def _draw(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Draw both maps; return their coordinates as columns."""
        linear, shares = principal_components(features)
        neighbours = neighbour_map(features, self.seed)
        axes = [f"principal component {i} ({100 * share:.0f}% of the variance)" for i, share in enumerate(shares, 1)]
        perplexity = f"perplexity {perplexity_of(len(features)):.3g}"
        figures = {}
        for kind, points, title, names in (
            ("pca", linear, "PCA of the fused features", axes),
            ("tsne", neighbours, f"t-SNE of the fused features ({perplexity})", None),
        ):
            figures[f"features_{kind}"] = embedding_figure(
                points,
                [p.label for p in self.predictions],
                [p.predicted for p in self.predictions],
                self.classes,
                f"{title}, {self.name}",
                names,
                self.output_dir / f"features_{kind}.png",
            )
        show_figures(self.output_dir, self.name, figures)
        columns = np.hstack([linear, neighbours]).T
        return dict(zip(("pca_1", "pca_2", "tsne_1", "tsne_2"), columns, strict=True))

    def _project(self, features: np.ndarray) -> None:
        """Write the features for TensorBoard's projector, with case, true and predicted class of each."""
        from torch.utils.tensorboard import SummaryWriter

        tag, folder = f"{self.name}_features", self.output_dir / FOLDER
        shutil.rmtree(folder / "00000" / tag, ignore_errors=True)  # of an earlier evaluation
        columns = case_columns(self.predictions, self.classes)
        with no_host(), SummaryWriter(str(folder)) as writer:
            rows = [list(row) for row in zip(*columns.values(), strict=True)]
            writer.add_embedding(features, rows, tag=tag, global_step=0, metadata_header=list(columns))
