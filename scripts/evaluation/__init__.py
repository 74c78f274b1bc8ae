"""From predictions to evidence: metrics, intervals, files and figures."""

from __future__ import annotations

from scripts.evaluation.attention_report import AttentionReport
from scripts.evaluation.error_report import ErrorReport
from scripts.evaluation.feature_report import FeatureReport
from scripts.evaluation.interval import Interval
from scripts.evaluation.intervals import confidence_intervals
from scripts.evaluation.metrics import SELECTION_RULES, classification_table, selection_value
from scripts.evaluation.plots import (
    confusion_figure,
    curves_figure,
    decision_figure,
    montage_figure,
    plot_weights,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
)
from scripts.evaluation.predictions import Predictions, read_predictions, write_predictions
from scripts.evaluation.record import describe_machine, write_metrics
from scripts.evaluation.report import EvaluationReport
from scripts.evaluation.table import format_table
from scripts.evaluation.weight_report import WeightReport

__all__ = [
    "SELECTION_RULES",
    "AttentionReport",
    "ErrorReport",
    "EvaluationReport",
    "FeatureReport",
    "Interval",
    "Predictions",
    "WeightReport",
    "classification_table",
    "confidence_intervals",
    "confusion_figure",
    "curves_figure",
    "decision_figure",
    "describe_machine",
    "format_table",
    "montage_figure",
    "plot_weights",
    "precision_recall_figure",
    "read_predictions",
    "reliability_figure",
    "roc_figure",
    "selection_value",
    "write_metrics",
    "write_predictions",
]
