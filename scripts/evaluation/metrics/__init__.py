"""Metrics of pooled predictions, one idea per file: of all cases at once, never averaged over batches.

`rows` computes them once, with scikit-learn; `weighted` computes the same under a thousand weightings of the
cases at once, for bootstrap intervals. Tests hold the two equal.
"""

from __future__ import annotations

from scripts.evaluation.metrics.decisions import decision_scores, predicted_class, weighted_confusion
from scripts.evaluation.metrics.names import DECISIONS, MACRO, METRICS, OVERALL, RANKINGS
from scripts.evaluation.metrics.net_benefit import net_benefit
from scripts.evaluation.metrics.probabilities import brier_score, expected_calibration_error, mean_log_loss
from scripts.evaluation.metrics.ranking import class_scores, weighted_auc, weighted_average_precision
from scripts.evaluation.metrics.rows import classification_table
from scripts.evaluation.metrics.selection import SELECTION_RULES, selection_value
from scripts.evaluation.metrics.weighted import weighted_scores

__all__ = [
    "DECISIONS",
    "MACRO",
    "METRICS",
    "OVERALL",
    "RANKINGS",
    "SELECTION_RULES",
    "brier_score",
    "class_scores",
    "classification_table",
    "decision_scores",
    "expected_calibration_error",
    "mean_log_loss",
    "net_benefit",
    "predicted_class",
    "selection_value",
    "weighted_auc",
    "weighted_average_precision",
    "weighted_confusion",
    "weighted_scores",
]
