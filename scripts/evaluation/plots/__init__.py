"""Figures as matplotlib `Figure` objects, for files and for TensorBoard's `add_figure`; never pyplot."""

from __future__ import annotations

from scripts.evaluation.plots.confusion import confusion_figure
from scripts.evaluation.plots.curves import curves_figure
from scripts.evaluation.plots.decision import decision_figure
from scripts.evaluation.plots.embedding import embedding_figure
from scripts.evaluation.plots.errors import errors_figure
from scripts.evaluation.plots.montage import montage_figure
from scripts.evaluation.plots.precision_recall import precision_recall_figure
from scripts.evaluation.plots.reliability import reliability_figure
from scripts.evaluation.plots.roc import roc_figure
from scripts.evaluation.plots.weights import plot_weights

__all__ = [
    "confusion_figure",
    "curves_figure",
    "decision_figure",
    "embedding_figure",
    "errors_figure",
    "montage_figure",
    "plot_weights",
    "precision_recall_figure",
    "reliability_figure",
    "roc_figure",
]
