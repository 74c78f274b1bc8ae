"""How often the predicted class is right, under many weightings of the cases at once."""

from __future__ import annotations

import numpy as np


def predicted_class(probability: np.ndarray, threshold: float | None = None, positive: int = 1) -> np.ndarray:
    """Return the predicted class: the one with the highest probability, of equal ones the first.

    Args:
        probability: one row per case.
        threshold: with two classes, predict the positive one where its probability is at least so high.
        positive: index of that class.

    Shape:
        probability: [n, K]. Result: [n].

    Raises:
        ValueError: a threshold with more than two classes.

    Example:
        >>> predicted_class(np.array([[0.7, 0.3], [0.4, 0.6]]), threshold=0.25)
        array([1, 1])
        >>> predicted_class(np.array([[0.7, 0.3], [0.4, 0.6]]), threshold=0.25, positive=0)
        array([0, 0])
    """
    if threshold is None:
        return probability.argmax(axis=1)
    if probability.shape[1] != 2:
        raise ValueError(f"a threshold needs exactly 2 classes, found {probability.shape[1]}")
    return np.where(probability[:, positive] >= threshold, positive, 1 - positive).astype(np.int64)


def weighted_confusion(
    label: np.ndarray, predicted: np.ndarray, num_classes: int, weights: np.ndarray
) -> np.ndarray:
    """Sum the weights of the cases of each true class (first) and predicted class (second).

    Args:
        label: index of the true class of each case.
        predicted: index of its predicted class.
        num_classes: K.
        weights: one weighting of the cases per row.

    Shape:
        label and predicted: [n]. weights: [R, n]. Result: [R, K, K].
    """
    cells = np.eye(num_classes**2)[label * num_classes + predicted]
    return (weights @ cells).reshape(-1, num_classes, num_classes)


def decision_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Compute all metrics of the predicted class from weighted confusion matrices.

    For each class against the rest as in `classification_table`; a metric is NaN where its class has no
    weight, or all of it. Cohen's kappa is agreement beyond chance,

        kappa = 1 - sum_ij v_ij O_ij / sum_ij v_ij E_ij    with E_ij = (row sum i) (column sum j) / n

    with v_ij = [i != j], or (i - j)² for quadratic kappa, which is for ordered classes; NaN where E leaves no
    room for chance.

    Args:
        confusion: sums over cases per true and predicted class.

    Shape:
        confusion: [R, K, K].

    Returns:
        accuracy, balanced_accuracy, sensitivity, specificity, f1: [R, K]; overall_accuracy, kappa,
        quadratic_kappa: [R].

    Reference: Cohen, Weighted kappa, Psychological Bulletin 70, 1968.
    """
    total = confusion.sum(axis=(1, 2))
    right = np.diagonal(confusion, axis1=1, axis2=2)
    truly, called = confusion.sum(axis=2), confusion.sum(axis=1)
    rest = total[:, None] - truly
    sensitivity, specificity = _ratio(right, truly), _ratio(rest - called + right, rest)
    grade = np.arange(confusion.shape[1])
    distance = np.abs(grade[:, None] - grade)
    expected = truly[:, :, None] * called[:, None, :] / total[:, None, None]

    def kappa(cost: np.ndarray) -> np.ndarray:
        return 1 - _ratio((cost * confusion).sum(axis=(1, 2)), (cost * expected).sum(axis=(1, 2)))

    return {
        "accuracy": _ratio(total[:, None] - truly - called + 2 * right, total[:, None]),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "f1": np.where(truly > 0, _ratio(2 * right, truly + called), np.nan),
        "overall_accuracy": _ratio(right.sum(axis=1), total),
        "kappa": kappa(distance > 0),
        "quadratic_kappa": kappa(distance**2),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
