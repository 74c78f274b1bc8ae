# SPDX-License-Identifier: Apache-2.0
"""Defines each metric once: its name, title and computation under many weightings of the cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scripts.metrics.scores import (
    brier_score,
    class_scores,
    expected_calibration_error,
    predicted_class,
    ratio,
    weighted_auc,
    weighted_average_precision,
)


class Weighted:
    """Predictions of n cases under R weightings.

    Args:
        probability: [n, K].
        label: [n], index of the true class.
        weights: [R, n], not negative; None: a single weighting in which every case counts once.
        threshold: with two classes, the positive one is predicted if its probability is at least this.
        positive: index of the positive class.

    Attributes:
        score: [n, K], ranks the cases for the AUC of each class.
        confusion: [R, K, K], weight of the cases of each true class (first) and predicted class (second).
        truly, called, right: [R, K], weight of the cases that have a class, are called it, and both.
        total: [R], weight of all cases.
    """

    def __init__(
        self,
        probability: np.ndarray,
        label: np.ndarray,
        weights: np.ndarray | None = None,
        threshold: float | None = None,
        positive: int = 1,
    ) -> None:
        self.probability = probability
        self.label = label
        self.weights = np.ones((1, len(label))) if weights is None else weights
        self.classes = probability.shape[1]
        self.score = class_scores(probability)
        self.predicted = predicted_class(probability, threshold, positive)

    @cached_property
    def confusion(self) -> np.ndarray:
        cells = np.eye(self.classes**2)[self.label * self.classes + self.predicted]
        return (self.weights @ cells).reshape(-1, self.classes, self.classes)

    @property
    def truly(self) -> np.ndarray:
        return self.confusion.sum(axis=2)

    @property
    def called(self) -> np.ndarray:
        return self.confusion.sum(axis=1)

    @property
    def right(self) -> np.ndarray:
        return np.diagonal(self.confusion, axis1=1, axis2=2)

    @property
    def total(self) -> np.ndarray:
        return self.confusion.sum(axis=(1, 2))

    def of_each_class(self, measure: Callable[..., np.ndarray]) -> np.ndarray:
        """Compute measure(score [n], positive [n], weights [R, n]) -> [R] for each class: [R, K]."""
        each = [measure(self.score[:, k], self.label == k, self.weights) for k in range(self.classes)]
        return np.stack(each, axis=1)


def _accuracy(found: Weighted) -> np.ndarray:
    total = found.total[:, None]
    # [R, K] true positives and negatives of each class: n - (truly - right) - (called - right)
    return ratio(total - found.truly - found.called + 2 * found.right, total)


def overall_accuracy(found: Weighted) -> np.ndarray:
    """Return the share of cases whose class is predicted correctly: [R]."""
    return ratio(found.right.sum(axis=1), found.total)


def _sensitivity(found: Weighted) -> np.ndarray:
    return ratio(found.right, found.truly)


def _specificity(found: Weighted) -> np.ndarray:
    rest = found.total[:, None] - found.truly
    return ratio(rest - found.called + found.right, rest)


def _f1(found: Weighted) -> np.ndarray:
    return np.where(found.truly > 0, ratio(2 * found.right, found.truly + found.called), np.nan)


def _kappa(found: Weighted, power: int) -> np.ndarray:
    """Compute Cohen's kappa, the agreement beyond chance: [R]; NaN if chance alone would agree fully.

    kappa = 1 - sum_ij v_ij O_ij / sum_ij v_ij E_ij with E_ij = (row sum i) (column sum j) / n and
    v_ij = [i != j] (power 0), or (i - j)² (power 2) for ordered classes.

    Reference: Cohen, Weighted kappa, Psychological Bulletin 70, 1968.
    """
    grade = np.arange(found.classes)
    distance = np.abs(grade[:, None] - grade)
    cost = distance**2 if power else distance > 0
    expected = found.truly[:, :, None] * found.called[:, None, :] / found.total[:, None, None]
    return 1 - ratio((cost * found.confusion).sum(axis=(1, 2)), (cost * expected).sum(axis=(1, 2)))


def _grade_error(found: Weighted) -> np.ndarray:
    """Compute the mean of \|predicted - true\| in grades: [R]."""
    grade = np.arange(found.classes)
    return ratio((np.abs(grade[:, None] - grade) * found.confusion).sum(axis=(1, 2)), found.total)


@dataclass(frozen=True)
class Metric:
    """A metric; its entry below is all that tables, intervals, tests and files need.

    Attributes:
        compute: `Weighted` -> [R, K], each class against the rest, NaN where undefined; or [R] for a metric of
            all classes together.
        macro: `Weighted` -> [R], the value for all classes together if it is not the mean over the classes.
    """

    name: str  # key in metrics.json and column of comparison.csv
    title: str  # name for readers
    compute: Callable[[Weighted], np.ndarray]
    heading: str = ""  # column heading on the screen; "" uses the title
    macro: Callable[[Weighted], np.ndarray] | None = None
    by_rank: bool = False  # depends only on the order of the probabilities, not on a predicted class


def _mean_sensitivity(found: Weighted) -> np.ndarray:
    return _mean_of_defined(_sensitivity(found))


OF_EACH_CLASS = (
    Metric("auc", "AUC", lambda found: found.of_each_class(weighted_auc), by_rank=True),
    Metric(
        "average_precision",
        "average precision",
        lambda found: found.of_each_class(weighted_average_precision),
        heading="av. prec.",
        by_rank=True,
    ),
    Metric("accuracy", "accuracy", _accuracy, macro=overall_accuracy),
    Metric(
        "balanced_accuracy",
        "balanced accuracy",
        lambda found: (_sensitivity(found) + _specificity(found)) / 2,
        heading="balanced acc.",
        macro=_mean_sensitivity,  # scikit-learn's balanced_accuracy_score
    ),
    Metric("sensitivity", "sensitivity", _sensitivity),
    Metric("specificity", "specificity", _specificity),
    Metric("f1", "F1", _f1),
)
"""Metrics of each class against the rest and of all together, in the order of the table's columns."""

OF_ALL_CLASSES = (
    Metric("kappa", "Cohen's kappa", lambda found: _kappa(found, 0)),
    Metric("quadratic_kappa", "quadratic kappa (if classes are ordered)", lambda found: _kappa(found, 2)),
    Metric("grade_error", "mean grade error (for ordered classes)", _grade_error),
    Metric(
        "brier", "Brier score (0 is best)", lambda found: brier_score(found.probability, found.label, found.weights)
    ),
    Metric(
        "ece",
        "expected calibration error (0 is best)",
        lambda found: expected_calibration_error(found.probability, found.label, found.weights),
    ),
)
"""Metrics of all classes together only."""

METRICS = tuple(metric.name for metric in OF_EACH_CLASS)
DECISIONS = tuple(metric.name for metric in OF_EACH_CLASS if not metric.by_rank)
OVERALL = tuple(metric.name for metric in OF_ALL_CLASSES)
OF_GRADES = ("quadratic_kappa", "grade_error")  # of two classes they say no more than kappa and accuracy
HEADINGS = {metric.name: metric.heading or metric.title for metric in OF_EACH_CLASS}
MACRO = "macro"  # Name of the last row

TITLES = {metric.name: metric.title for metric in (*OF_EACH_CLASS, *OF_ALL_CLASSES)} | {
    "net_benefit": "net benefit",
    "log_loss": "log loss (0 is best)",
}
"""Names for readers, including the two metrics that need a threshold or logits."""


def weighted_scores(
    probability: np.ndarray, label: np.ndarray, weights: np.ndarray, threshold: float | None = None, positive: int = 1
) -> dict[str, np.ndarray]:
    """Compute every metric once per weighting; arguments as for `Weighted`.

    Returns:
        Metrics per class as [R, K + 1] with the macro value last, those of all classes as [R, 1]. NaN where a
        weighting leaves a metric undefined: a macro value needs every class that occurs in `label`.
    """
    # The first row, in which every case counts once, determines which classes have the metric at all.
    found = Weighted(probability, label, np.vstack([np.ones(len(label)), weights]), threshold, positive)
    scores = {}
    for metric in OF_EACH_CLASS:
        values = metric.compute(found)
        macro = metric.macro(found) if metric.macro else _mean_of_defined(values)
        scores[metric.name] = np.column_stack([values, macro])[1:]
    return scores | {metric.name: metric.compute(found)[1:, None] for metric in OF_ALL_CLASSES}


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Average over the classes of [R + 1, K] whose metric is defined if every case counts once (first row)."""
    defined = np.isfinite(values[0])
    return values[:, defined].mean(axis=1) if defined.any() else np.full(len(values), np.nan)
