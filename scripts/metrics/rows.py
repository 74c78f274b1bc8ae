"""All metrics of one evaluation, one row per class and one for all classes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.scores import MACRO, METRICS, class_scores, expected_calibration_error, predicted_class

if TYPE_CHECKING:
    from scripts.metrics.interval import Interval


def classification_table(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    intervals: Sequence[Mapping[str, Interval]] | None = None,
    threshold: float | None = None,
    positive: int = 1,
) -> list[dict[str, Any]]:
    """Compute one row of metrics per class (this class against the rest) and a macro row.

    The predicted class is the one with the highest probability (of equal ones, the first). In the row of
    class c, a case is positive when its class is c; AUC and average precision rank the cases by P(c):

        sensitivity = TP / (TP + FN)            specificity = TN / (TN + FP)
        balanced accuracy = (sensitivity + specificity) / 2
        accuracy = (TP + TN) / n                F1 = 2 TP / (2 TP + FP + FN)

    The macro row is the plain mean over the classes for which the metric is defined, but for two columns that
    have a usual multi-class meaning of their own: its accuracy is the share of all n cases whose class is
    predicted right, and its balanced accuracy is the mean sensitivity over classes (scikit-learn's
    balanced_accuracy_score). It alone has Cohen's kappa, plain and with quadratic weights (for ordered
    classes), the Brier score and the expected calibration error (see `brier_score` and
    `expected_calibration_error`).

    A metric that is undefined because a class has no case, or because every case has that class, is None, and
    the row's `note` says why.

    Args:
        probabilities: one row per case, each summing to 1.
        labels: index of the true class of each case.
        classes: K class names.
        intervals: confidence intervals of each row, from `confidence_intervals`.
        threshold: with two classes, predict the positive one where its probability is at least so high.
        positive: index of that class.

    Shape:
        probabilities: [n, K]. labels: [n].

    Returns:
        K + 1 rows with the keys class, n, n_positive (None in the macro row), the metrics of `METRICS`, in
        the macro row also those of `OVERALL` (float or None), and note; with intervals, each metric also has
        <metric>_interval ([lower, upper] or None).

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
    score, predicted = class_scores(probability), predicted_class(probability, threshold, positive)
    rows = [_class_row(name, score[:, k], predicted == k, label == k) for k, name in enumerate(classes)]
    macro: dict[str, Any] = {"class": MACRO, "n": len(label), "n_positive": None}
    for metric in METRICS:
        macro[metric] = _mean_of_defined([row[metric] for row in rows])
    macro["accuracy"] = float(accuracy_score(label, predicted))
    macro["balanced_accuracy"] = macro["sensitivity"]
    macro |= _overall(probability, label, predicted)
    undefined = [str(row["class"]) for row in rows if row["auc"] is None]
    notes = []
    if undefined:
        notes.append(
            f"means leave out what is undefined: the AUC is over {len(classes) - len(undefined)} of "
            f"{len(classes)} classes (without {', '.join(undefined)})"
        )
    notes += _interval_notes(intervals[-1] if intervals else {})
    macro["note"] = "; ".join(notes)
    rows.append(macro)
    for row, found in zip(rows, intervals or [], strict=bool(intervals)):
        row |= {f"{metric}_interval": interval.bounds for metric, interval in found.items()}
    return rows


def _class_row(name: str, score: np.ndarray, predicted: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """Compute the row of one class from its score [n], predicted [n] bool and true [n] bool."""
    from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

    n, n_positive = len(positive), int(positive.sum())
    row: dict[str, Any] = {"class": name, "n": n, "n_positive": n_positive}
    row |= dict.fromkeys(METRICS)
    row["accuracy"] = float(accuracy_score(positive, predicted))
    row["note"] = ""
    if n_positive > 0:
        row["sensitivity"] = float(recall_score(positive, predicted))
        row["f1"] = float(f1_score(positive, predicted))
    else:
        row["note"] = (
            f"no case of class {name}: AUC, average precision, balanced accuracy, sensitivity and F1 are "
            "undefined"
        )
    if n_positive < n:
        row["specificity"] = float(recall_score(positive, predicted, pos_label=False))
    else:
        row["note"] = (
            f"every case has class {name}: AUC, average precision, balanced accuracy and specificity are "
            "undefined"
        )
    if 0 < n_positive < n:
        row["auc"] = float(roc_auc_score(positive, score))
        row["average_precision"] = float(average_precision_score(positive, score))
        row["balanced_accuracy"] = (row["sensitivity"] + row["specificity"]) / 2
    return row


def _overall(probability: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Compute what only all classes together have; kappa is None where one class is all there is."""
    from sklearn.metrics import brier_score_loss, cohen_kappa_score

    numbers = np.arange(probability.shape[1])
    varied = len(np.union1d(label, predicted)) > 1
    normalised = probability / probability.sum(axis=1, keepdims=True)
    return {
        "kappa": float(cohen_kappa_score(label, predicted)) if varied else None,
        "quadratic_kappa": float(cohen_kappa_score(label, predicted, labels=numbers, weights="quadratic"))
        if varied
        else None,
        "brier": float(
            brier_score_loss(label, normalised if len(numbers) > 2 else normalised[:, 1], labels=numbers)
        ),
        "ece": float(expected_calibration_error(probability, label)[0]),
    }


def _interval_notes(intervals: Mapping[str, Interval]) -> list[str]:
    """Return what is to be said about intervals, each remark once, with the metrics that it is about."""
    about: dict[str, list[str]] = {}
    for metric, interval in intervals.items():
        if interval.note:
            about.setdefault(interval.note, []).append(metric.replace("_", " ").replace("auc", "AUC"))
    return [f"interval of {', '.join(metrics)}: {note}" for note, metrics in about.items()]


def _mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Average the values that are not None; None when there is none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
