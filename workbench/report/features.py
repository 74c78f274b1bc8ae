"""Cases as points in a plane: what lies close together looks alike to the network."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from scripts.engines.case_handler import Case, CaseHandler, Prediction
from scripts.engines.evaluation import FOLDER, no_host, show_figures
from scripts.files.atomic import write_table
from workbench.explain.listening import FusedFeatures
from workbench.report.embedding_figure import embedding_figure

LEAST = 5
"""Fewer cases say nothing about which lie together."""


def perplexity_of(count: int) -> float:
    """Return the perplexity of t-SNE for n cases: 30, or (n - 1) / 3 where that is less.

    >>> perplexity_of(40), perplexity_of(1000)
    (13.0, 30.0)
    """
    return min(30.0, (count - 1) / 3)


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project features on their first two principal components.

    Args:
        features: one row per case, F >= 2.

    Shape:
        features: [n, F], n >= 2.

    Returns:
        Coordinates [n, 2], and the share of the variance along each of the two.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # the number of threads would change the last digits
        pca = PCA(n_components=2, svd_solver="full")
        return pca.fit_transform(features), pca.explained_variance_ratio_


def neighbour_map(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Lay cases out by t-SNE, begun from their principal components; neighbours stay neighbours.

    Distances between groups, and the sizes of groups, mean nothing.

    Args:
        features: one row per case.
        seed: the same seed gives the same map.

    Shape:
        features: [n, F], n >= 5. Result: [n, 2].

    Reference: van der Maaten and Hinton, Visualizing data using t-SNE, JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        tsne = TSNE(2, perplexity=perplexity_of(len(features)), init="pca", random_state=seed)
        return tsne.fit_transform(features)


if TYPE_CHECKING:
    from scripts.engines.case_handler import Prediction


def case_columns(predictions: Sequence[Prediction], classes: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns case, true (empty where the class is not known) and predicted."""
    return {
        "case": [p.case for p in predictions],
        "true": ["" if p.label is None else classes[p.label] for p in predictions],
        "predicted": [classes[p.predicted] for p in predictions],
    }


def write_case_table(
    path: Path,
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    columns: Mapping[str, np.ndarray],
) -> Path:
    """Write case, true, predicted and further columns of numbers, with the 9 digits of a float32.

    Raises:
        ValueError: the folder cannot be written.
    """
    numbers = {name: [f"{value:.9g}" for value in values] for name, values in columns.items()}
    table = case_columns(predictions, classes) | numbers
    return write_table(path, table, zip(*table.values(), strict=True))


if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.explain.listening import FusedFeatures

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
