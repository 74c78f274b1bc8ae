"""All metrics under many weightings of the cases at once: what bootstrap intervals are made of."""

from __future__ import annotations

import numpy as np

from scripts.metrics.scores import (
    DECISIONS,
    brier_score,
    class_scores,
    decision_scores,
    expected_calibration_error,
    predicted_class,
    weighted_auc,
    weighted_average_precision,
    weighted_confusion,
)


def weighted_scores(
    probability: np.ndarray,
    label: np.ndarray,
    weights: np.ndarray,
    threshold: float | None = None,
    positive: int = 1,
) -> dict[str, np.ndarray]:
    """Compute the metrics of `classification_table` once per weighting.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        weights: one weighting of the cases per row, not negative.
        threshold: with two classes, the probability of the positive one from which it is predicted; None: the
            class with the highest probability.
        positive: index of that class.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n].

    Returns:
        For each of `METRICS` [R, K + 1], the macro value last; for each of `OVERALL` [R, 1]. NaN where a
        weighting leaves a metric undefined: a macro value needs every class that `label` has.
    """
    size, score = probability.shape[1], class_scores(probability)
    weights = np.vstack([np.ones(len(label)), weights])  # the first row tells what is defined at all
    columns: dict[str, np.ndarray] = {}
    for name, measure in (("auc", weighted_auc), ("average_precision", weighted_average_precision)):
        columns[name] = np.stack([measure(score[:, k], label == k, weights) for k in range(size)], axis=1)
    decided = decision_scores(
        weighted_confusion(label, predicted_class(probability, threshold, positive), size, weights)
    )
    columns |= {name: decided[name] for name in DECISIONS}
    macro = {name: _mean_of_defined(values) for name, values in columns.items()}
    macro |= {"accuracy": decided["overall_accuracy"], "balanced_accuracy": macro["sensitivity"]}
    scores = {name: np.column_stack([values, macro[name]])[1:] for name, values in columns.items()}
    overall = {
        "kappa": decided["kappa"],
        "quadratic_kappa": decided["quadratic_kappa"],
        "brier": brier_score(probability, label, weights),
        "ece": expected_calibration_error(probability, label, weights),
    }
    return scores | {name: values[1:, None] for name, values in overall.items()}


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Average over the classes [R + 1, K] whose metric is defined when every case counts once (first row)."""
    defined = np.isfinite(values[0])
    return values[:, defined].mean(axis=1) if defined.any() else np.full(len(values), np.nan)
