"""The one number by which the best checkpoint is chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.scores import class_scores


def macro_auc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Compute the mean one-vs-rest AUC over the classes that have cases; for K = 2, the AUC.

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: all cases have one class, so that no AUC is defined.
    """
    from sklearn.metrics import roc_auc_score

    probability = as_probabilities(probabilities)
    label = as_labels(labels, *probability.shape)
    found = np.unique(label)
    if len(found) < 2:
        raise ValueError(
            f"AUC needs cases of at least 2 classes, found {len(label)} that all have class {found[0]}: "
            "stratify the split by class, or choose the checkpoint by loss"
        )
    score = class_scores(probability)
    return float(np.mean([roc_auc_score(label == k, score[:, k]) for k in found]))


def argmax_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Compute the share of cases whose true class has the highest probability (of equal ones, the first).

    Shape:
        probabilities: [n, K]. labels: [n].
    """
    from sklearn.metrics import accuracy_score

    probability = as_probabilities(probabilities)
    label = as_labels(labels, *probability.shape)
    return float(accuracy_score(label, probability.argmax(axis=1)))


def negative_log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Compute the mean log probability of the true class, mean_i ln p_i[y_i]: at most 0, higher is better.

    Shape:
        probabilities: [n, K]. labels: [n].
    """
    from sklearn.metrics import log_loss

    probability = as_probabilities(probabilities)
    label = as_labels(labels, *probability.shape)
    probability = probability / probability.sum(axis=1, keepdims=True)
    return -float(log_loss(label, probability, labels=np.arange(probability.shape[1])))


def mean_of_auc_and_accuracy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Compute 0.5 * accuracy + 0.5 * AUC.

    Shape:
        probabilities: [n, K]. labels: [n].
    """
    return 0.5 * argmax_accuracy(probabilities, labels) + 0.5 * macro_auc(probabilities, labels)


SELECTION_RULES: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "auc": macro_auc,
    "accuracy": argmax_accuracy,
    "loss": negative_log_loss,
    "auc_accuracy": mean_of_auc_and_accuracy,
}
"""How a checkpoint may be chosen on the validation split: name -> value, of which the highest wins."""


def selection_value(probabilities: ArrayLike, labels: ArrayLike, rule: str) -> float:
    """Compute the number by which the best checkpoint is chosen: higher is better, and it is never NaN.

    Args:
        probabilities: validation predictions, one row per case.
        labels: index of the true class of each case.
        rule: "auc", "accuracy", "loss" (negative log loss) or "auc_accuracy" (0.5 accuracy + 0.5 AUC).

    Shape:
        probabilities: [n, K]. labels: [n].

    Raises:
        ValueError: unknown rule; a rule with AUC where all cases have one class; NaN probabilities.

    Example:
        >>> selection_value([[.9, .1], [.6, .4], [.7, .3], [.2, .8]], [0, 0, 1, 1], "auc_accuracy")
        0.75
    """
    if rule not in SELECTION_RULES:
        raise ValueError(f"selection rule must be one of {', '.join(SELECTION_RULES)}, found {rule!r}")
    return SELECTION_RULES[rule](probabilities, labels)
