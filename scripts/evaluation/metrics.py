"""Metrics of pooled predictions: one table for people, one number for choosing a checkpoint.

All are computed by scikit-learn over the predictions of all cases at once, never averaged over batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_probabilities

if TYPE_CHECKING:
    from scripts.evaluation.intervals import Interval

METRICS = ("auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1")
"""The metric keys of a row, in the order of the table."""

MACRO = "macro"
"""The name of the last row."""


def classification_table(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    intervals: dict[str, Interval] | None = None,
) -> list[dict[str, Any]]:
    """Compute one row of metrics per class (this class against the rest) and a macro row.

    The predicted class is the one with the highest probability (of equal ones, the first). In the row of
    class c, a case is positive when its class is c; the AUC ranks the cases by P(c), equal probabilities
    counting one half:

        sensitivity = TP / (TP + FN)            specificity = TN / (TN + FP)
        balanced accuracy = (sensitivity + specificity) / 2
        accuracy = (TP + TN) / n                F1 = 2 TP / (2 TP + FP + FN)

    The macro row is the plain mean over the classes for which the metric is defined, but for two columns that
    have a usual multi-class meaning of their own: its accuracy is the share of all n cases whose class is
    predicted right, and its balanced accuracy is the mean sensitivity over classes (scikit-learn's
    balanced_accuracy_score).

    A metric that is undefined because a class has no case, or because every case has that class, is None, and
    the row's `note` says why.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        intervals: confidence intervals of the macro row, from `bootstrap_intervals`.

    Shape:
        probabilities: [n, K]. labels: [n].

    Returns:
        K + 1 rows with the keys class, n, n_positive (None in the macro row), the six metrics of `METRICS`
        (float or None) and note; the macro row also has auc_interval and accuracy_interval ([lower, upper] or
        None).

    Raises:
        ValueError: probabilities that are not finite or do not sum to 1, labels out of range, wrong shapes.

    Example:
        >>> p = [[.9, .1], [.6, .4], [.7, .3], [.2, .8]]
        >>> rows = classification_table(p, [0, 0, 1, 1], ["low", "high"])
        >>> [(row["class"], row["auc"], row["sensitivity"]) for row in rows]
        [('low', 0.75, 1.0), ('high', 0.75, 0.5), ('macro', 0.75, 0.75)]
    """
    from sklearn.metrics import accuracy_score

    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    score = class_scores(probability)
    predicted = probability.argmax(axis=1)
    rows = [_class_row(name, score[:, k], predicted == k, label == k) for k, name in enumerate(classes)]
    macro: dict[str, Any] = {"class": MACRO, "n": len(label), "n_positive": None}
    for metric in METRICS:
        macro[metric] = _mean_of_defined([row[metric] for row in rows])
    macro["accuracy"] = float(accuracy_score(label, predicted))
    macro["balanced_accuracy"] = macro["sensitivity"]
    macro["auc_interval"], macro["accuracy_interval"] = None, None
    notes = []
    undefined = [str(row["class"]) for row in rows if row["auc"] is None]
    if undefined:
        notes.append(
            f"means leave out what is undefined: the AUC is over {len(classes) - len(undefined)} of "
            f"{len(classes)} classes (without {', '.join(undefined)})"
        )
    for metric, interval in (intervals or {}).items():
        macro[f"{metric}_interval"] = None if interval.lower is None else [interval.lower, interval.upper]
        if interval.note:
            notes.append(f"interval of the {metric.replace('auc', 'AUC')}: {interval.note}")
    macro["note"] = "; ".join(notes)
    return [*rows, macro]


def _class_row(name: str, score: np.ndarray, predicted: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """Compute the row of one class from its score [n], predicted [n] bool and true [n] bool."""
    from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

    n, n_positive = len(positive), int(positive.sum())
    row: dict[str, Any] = {"class": name, "n": n, "n_positive": n_positive}
    row |= dict.fromkeys(METRICS)
    row["accuracy"] = float(accuracy_score(positive, predicted))
    row["note"] = ""
    if n_positive > 0:
        row["sensitivity"] = float(recall_score(positive, predicted))
        row["f1"] = float(f1_score(positive, predicted))
    else:
        row["note"] = f"no case of class {name}: AUC, balanced accuracy, sensitivity and F1 are undefined"
    if n_positive < n:
        row["specificity"] = float(recall_score(positive, predicted, pos_label=False))
    else:
        row["note"] = f"every case has class {name}: AUC, balanced accuracy and specificity are undefined"
    if 0 < n_positive < n:
        row["auc"] = float(roc_auc_score(positive, score))
        row["balanced_accuracy"] = (row["sensitivity"] + row["specificity"]) / 2
    return row


def class_scores(probability: np.ndarray) -> np.ndarray:
    """Return what the AUC of each class ranks the cases by: P(class).

    For two classes both go by P(second class), as the ROC curve does: rounding near 0 and 1 makes ties in one
    column that the other does not have, and the two AUCs would differ where they are equal by definition.

    Shape:
        probability and result: [n, K].
    """
    if probability.shape[1] > 2:
        return probability
    return np.stack([-probability[:, 1], probability[:, 1]], axis=1)


def _mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Average the values that are not None; None when there is none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


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
