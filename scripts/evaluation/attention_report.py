"""The handler that writes which phases look at which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.evaluation.atomic import write_table
from scripts.evaluation.case_handler import Case, Prediction
from scripts.evaluation.plots.attention import Attention, attention_figure
from scripts.evaluation.tensorboard import show_figures
from scripts.evaluation.weight_report import FusionReport, weight_names

CLASS_TOKEN = "class token"
KEPT = "(kept to itself)"


class AttentionReport(FusionReport):
    """Writes how much each phase looked at each other, for strategies that fuse by attention.

    When an evaluation ends it writes into `output_dir`

        attention.csv   attention, class (empty: all cases), from, to, mean, n
        attention.png   the same as matrices: a row looks at the columns

    and shows the figure in TensorBoard. A mean is that over the heads and over the n cases that have both
    tokens; classes are the true ones. Rows sum to 1 where all cases have all phases; what cross-attention
    does not spend on others is "(kept to itself)". With test-time augmentation, or an ensemble, the attention
    is averaged as the probabilities are. A strategy without attention leaves no file.

    Args and Raises: those of `FusionReport`.
    """

    def listener(self) -> Any:
        """Listen to the attention."""
        from scripts.networks.attention_maps import AttentionMaps

        return AttentionMaps(self.network)

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note the attention {kind: [Q, M]} of each case."""
        found = {} if self.heard is None else self.heard.take()
        for i, p in enumerate(predictions):
            if found:
                self.notes[p.case] = {kind: maps[i].numpy() for kind, maps in found.items()}

    def write(self, device: str) -> None:
        """Write the table and the figure."""
        if not self.notes:
            return
        labels = np.array([-1 if p.label is None else p.label for p in self.predictions])
        groups = {"": labels >= -1} | {name: labels == k for k, name in enumerate(self.classes)}
        tables: list[Attention] = []
        for kind in next(iter(self.notes.values())):
            maps = np.stack([self.notes[p.case][kind] for p in self.predictions])
            tables += [
                self._means(kind, name, maps[chosen]) for name, chosen in groups.items() if chosen.any()
            ]
        rows = [row for table in tables for row in table.rows()]
        write_table(
            self.output_dir / "attention.csv", ["attention", "class", "from", "to", "mean", "n"], rows
        )
        figure = attention_figure(tables, self.classes, self.name, self.output_dir / "attention.png")
        show_figures(self.output_dir, self.name, {"attention": figure})

    def _means(self, kind: str, group: str, maps: np.ndarray) -> Attention:
        """Return the means over cases: maps [n, Q, M], NaN where a token is absent."""
        there = np.isfinite(maps)
        number = there.sum(axis=0)
        mean = np.where(there, maps, 0).sum(axis=0) / np.maximum(number, 1)
        tokens = weight_names(self.phases, self.views, maps.shape[2])
        asking = [CLASS_TOKEN] if maps.shape[1] == 1 else tokens
        if kind == "cross_attention" or self._asks_only_others(maps):
            asks = there.any(axis=2)
            kept = np.where(asks, 1 - np.where(there, maps, 0).sum(axis=2), 0).sum(axis=0)
            count = asks.sum(axis=0)
            mean = np.column_stack([mean, kept / np.maximum(count, 1)])
            number = np.column_stack([number, count])
            tokens = [*tokens, KEPT]
        return Attention(kind.replace("_", " "), group, asking, tokens, mean, number)

    @staticmethod
    def _asks_only_others(maps: np.ndarray) -> bool:
        """Return whether no token looks at itself: then it may keep some of its attention."""
        return maps.shape[1] > 1 and not np.nan_to_num(np.diagonal(maps, axis1=1, axis2=2)).any()
