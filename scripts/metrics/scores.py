"""The names of the metrics: keys of metrics.json and columns of the table, in their order."""

from __future__ import annotations

import numpy as np

RANKINGS = ("auc", "average_precision")
"""Of the order in which a probability puts the cases; no threshold is needed."""

DECISIONS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1")
"""Of the predicted class."""

METRICS = (*RANKINGS, *DECISIONS)
"""What every row has: each class against the rest, and the macro row."""

OVERALL = ("kappa", "quadratic_kappa", "brier", "ece")
"""What only all classes together have: two of the predicted class, two of the probabilities."""

MACRO = "macro"
"""The name of the last row."""


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


def weighted_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the AUC of one score under many weightings of the cases at once.

    AUC = sum_{i positive, j negative} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum_i w_i · sum_j w_j), from
    one sort of the scores instead of one per weighting.

    Args:
        score: P(class) of each case.
        positive: whether the case has the class.
        weights: one weighting of the cases per row, not negative.

    Shape:
        score: [n]. positive: [n] bool. weights: [R, n]. Result: [R], NaN where one side has no weight.
    """
    hits, misses = sort_by_score(score, positive, weights)
    below = np.cumsum(misses, axis=1) - misses
    pairs = hits.sum(axis=1) * misses.sum(axis=1)
    area = (hits * (below + misses / 2)).sum(axis=1)
    return np.divide(area, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def weighted_average_precision(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the average precision of one score under many weightings of the cases at once.

    AP = sum_t (R_t - R_{t-1}) P_t over the distinct scores t from the highest, with recall R_t and precision
    P_t of the cases from t upwards: the area under the precision-recall steps. A classifier without skill has
    the prevalence of the class.

    Args:
        score: P(class) of each case.
        positive: whether the case has the class.
        weights: one weighting of the cases per row, not negative.

    Shape:
        score: [n]. positive: [n] bool. weights: [R, n]. Result: [R], NaN where one side has no weight.
    """
    hits, misses = (side[:, ::-1] for side in sort_by_score(score, positive, weights))
    true, called = np.cumsum(hits, axis=1), np.cumsum(hits + misses, axis=1)
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    positives, negatives = true[:, -1], called[:, -1] - true[:, -1]
    area, defined = (hits * precision).sum(axis=1), (positives > 0) & (negatives > 0)
    return np.divide(area, positives, out=np.full(len(weights), np.nan), where=defined)


def sort_by_score(
    score: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of positive and negative cases at each score, lowest first: [R, S] each."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    w, is_positive = weights[:, order], positive[order]
    return np.add.reduceat(w * is_positive, starts, axis=1), np.add.reduceat(w * ~is_positive, starts, axis=1)


BINS = 15
"""Bins of the expected calibration error, equally wide, from 0 to 1; the number of Guo et al."""


def brier_score(probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the mean squared error of the probabilities; lower is better.

    With more than two classes it is the mean over cases of the sum over classes of (p_k - [y = k])², from 0
    to 2; with two classes, as usual, (p - y)² of one class, from 0 to 1, which is half of that sum.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78,
        1950.

    Example:
        >>> brier_score(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
        array([0.15625])
    """
    size = probability.shape[1]
    error = np.square(probability - np.eye(size)[label]).sum(axis=1) / (2 if size == 2 else 1)
    w = np.ones((1, len(label))) if weights is None else weights
    return w @ error / w.sum(axis=1)


def confidence_bins(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability of each case and its bin: bin b holds (b / 15, (b + 1) / 15].

    Shape:
        probability: [n, K]. Results: [n], [n].
    """
    confidence = probability.max(axis=1)
    return confidence, np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def expected_calibration_error(
    probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute how far confidence and accuracy are apart on average; lower is better.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

    over 15 equally wide bins of the confidence, the probability of the predicted class. It is biased upwards:
    with few cases per bin, even a perfectly calibrated model has an error above 0.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    Example:
        >>> expected_calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).round(6)
        array([0.3])
    """
    confidence, number = confidence_bins(probability)
    gap = (probability.argmax(axis=1) == label) - confidence
    w = np.ones((1, len(label))) if weights is None else weights
    per_bin = w @ (np.eye(BINS)[number] * gap[:, None])
    return np.abs(per_bin).sum(axis=1) / w.sum(axis=1)


def mean_log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Compute the mean of -log p(true class), which no probability but the true one makes smaller.

    Shape:
        probability: [n, K]. label: [n].

    Example:
        >>> round(mean_log_loss(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])), 6)
        0.490415
    """
    from sklearn.metrics import log_loss

    normalised = probability / probability.sum(axis=1, keepdims=True)
    return float(log_loss(label, normalised, labels=np.arange(probability.shape[1])))


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
