"""The one number by which the best checkpoint is chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.registry import Weighted, overall_accuracy
from scripts.metrics.scores import mean_log_loss, weighted_auc


def macro_auc(found: Weighted) -> float:
    """Return the mean one-vs-rest AUC over the classes that have cases; for K = 2, the AUC.

    Raises:
        ValueError: all cases have one class, so that no AUC is defined.
    """
    if len(np.unique(found.label)) < 2:
        raise ValueError(
            f"AUC needs cases of at least 2 classes, found {len(found.label)} that all have class "
            f"{found.label[0]}: stratify the split by class, or choose the checkpoint by loss"
        )
    return float(np.nanmean(found.of_each_class(weighted_auc)))


def accuracy(found: Weighted) -> float:
    """Return the share of cases whose true class has the highest probability (of equal ones, the first)."""
    return float(overall_accuracy(found)[0])


SELECTION_RULES: dict[str, Callable[[Weighted], float]] = {
    "auc": macro_auc,
    "accuracy": accuracy,
    "loss": lambda found: -mean_log_loss(found.probability, found.label),
    "auc_accuracy": lambda found: 0.5 * accuracy(found) + 0.5 * macro_auc(found),
}
"""How a checkpoint may be chosen on the validation split: name -> value, of which the highest wins."""


def selection_value(probabilities: ArrayLike, labels: ArrayLike, rule: str) -> float:
    """Compute the number by which the best checkpoint is chosen: higher is better, and it is never NaN.

    Args:
        probabilities: [n, K], validation predictions.
        labels: [n], index of the true class.
        rule: "auc", "accuracy", "loss" (negative log loss) or "auc_accuracy" (0.5 accuracy + 0.5 AUC).

    Raises:
        ValueError: unknown rule; a rule with AUC where all cases have one class; NaN probabilities.

    >>> selection_value([[.9, .1], [.6, .4], [.7, .3], [.2, .8]], [0, 0, 1, 1], "auc_accuracy")
    0.75
    """
    if rule not in SELECTION_RULES:
        raise ValueError(f"selection rule must be one of {', '.join(SELECTION_RULES)}, found {rule!r}")
    probability = as_probabilities(probabilities)
    return SELECTION_RULES[rule](Weighted(probability, as_labels(labels, *probability.shape)))
