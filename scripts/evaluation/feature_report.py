"""The handler that writes how the cases lie to each other inside the network."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from scripts.evaluation.case_handler import Case, CaseHandler, Prediction
from scripts.evaluation.case_table import case_columns, write_case_table
from scripts.evaluation.embedding import LEAST, neighbour_map, perplexity_of, principal_components
from scripts.evaluation.plots import embedding_figure
from scripts.evaluation.tensorboard import FOLDER, no_host, show_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scripts.networks.fused_features import FusedFeatures

logger = logging.getLogger(__name__)


class FeatureReport(CaseHandler):
    """Writes the fused features of all cases, and maps of them.

    When an evaluation ends it writes into `output_dir`

        features.csv        case, true, predicted, the coordinates of both maps, F features
        features_pca.png    the first two principal components of the features
        features_tsne.png   a t-SNE map of them: cases that look alike to the network lie close together

    and shows the figures in TensorBoard, where the projector turns the features in three dimensions. What the
    features are says `FusedFeatures`; they are those of the evaluation itself. With test-time augmentation
    they are the mean over the views of a case. The figures need 5 cases whose features are not all equal, and
    nothing is written for a network without fused features; a line in the log says so.

    Args:
        network: the network that the evaluator runs.
        output_dir: folder of the results, made if missing.
        classes: K class names.
        seed: of the t-SNE map.
        name: what is evaluated, e.g. "test"; heads the figures.

    Raises:
        ValueError: as for `CaseHandler`.
    """

    def __init__(
        self,
        network: nn.Module,
        output_dir: str | Path,
        classes: Sequence[str],
        seed: int = 0,
        name: str = "test",
    ) -> None:
        super().__init__(output_dir, classes, name)
        self.network = network
        self.seed = seed
        self.features: FusedFeatures | None = None

    def start(self) -> None:
        """Listen to what enters the last layer."""
        from scripts.networks.fused_features import FusedFeatures

        self.features = FusedFeatures(self.network)

    def stop(self) -> None:
        """Stop listening."""
        if self.features is not None:
            self.features.remove()

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note the features [F] of each case."""
        found = None if self.features is None else self.features.take()
        if found is not None:
            self.notes |= {p.case: row for p, row in zip(predictions, found.numpy(), strict=True)}

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
        """Draw both maps and return their coordinates as columns."""
        linear, shares = principal_components(features)
        neighbours = neighbour_map(features, self.seed)
        known: dict[str, Any] = {
            "labels": [p.label for p in self.predictions],
            "predicted": [p.predicted for p in self.predictions],
            "classes": self.classes,
        }
        figures: dict[str, Figure] = {
            "features_pca": embedding_figure(
                linear,
                **known,
                title=f"PCA of the fused features, {self.name}",
                axis_names=[
                    f"principal component {i + 1} ({100 * share:.0f}% of the variance)"
                    for i, share in enumerate(shares)
                ],
                path=self.output_dir / "features_pca.png",
            ),
            "features_tsne": embedding_figure(
                neighbours,
                **known,
                title=f"t-SNE of the fused features (perplexity {perplexity_of(len(features)):.3g}), "
                f"{self.name}",
                path=self.output_dir / "features_tsne.png",
            ),
        }
        show_figures(self.output_dir, self.name, figures)
        names = ("pca_1", "pca_2", "tsne_1", "tsne_2")
        return dict(zip(names, np.hstack([linear, neighbours]).T, strict=True))

    def _project(self, features: np.ndarray) -> None:
        """Give TensorBoard's projector the features, with case, true and predicted class of each."""
        from torch.utils.tensorboard import SummaryWriter

        tag, folder = f"{self.name}_features", self.output_dir / FOLDER
        shutil.rmtree(folder / "00000" / tag, ignore_errors=True)  # of an earlier evaluation
        columns = case_columns(self.predictions, self.classes)
        with no_host(), SummaryWriter(str(folder)) as writer:
            rows = [list(row) for row in zip(*columns.values(), strict=True)]
            writer.add_embedding(features, rows, tag=tag, global_step=0, metadata_header=list(columns))
