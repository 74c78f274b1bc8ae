# SPDX-License-Identifier: Apache-2.0
"""Metrics of rankings and probabilities, computed for many weightings of the cases at once.

A weighting says how often each case counts: once for the metric itself, as often as drawn for the bootstrap.
"""

from __future__ import annotations

import numpy as np

BINS = 15  # Equally wide bins from 0 to 1 of the expected calibration error; as many as in Guo et al


def class_scores(probability: np.ndarray) -> np.ndarray:
    """Return the scores by which the AUC of each class ranks the cases, P(class): [n, K] -> [n, K].

    With two classes both use P(second class), like the ROC curve: rounding near 0 and 1 creates ties in one
    column but not in the other, so the two AUCs, equal by definition, would differ.
    """
    if probability.shape[1] > 2:
        return probability
    return np.stack([-probability[:, 1], probability[:, 1]], axis=1)


def predicted_class(probability: np.ndarray, threshold: float | None = None, positive: int = 1) -> np.ndarray:
    """Return the class with the highest probability (the first one in a tie), or decide by a threshold.

    Raises:
        ValueError: a threshold with more than two classes.

    >>> predicted_class(np.array([[0.7, 0.3], [0.4, 0.6]]), threshold=0.25, positive=0)
    array([0, 0])
    """
    if threshold is None:
        return probability.argmax(axis=1)
    if probability.shape[1] != 2:
        raise ValueError(f"a threshold needs exactly 2 classes, found {probability.shape[1]}")
    return np.where(probability[:, positive] >= threshold, positive, 1 - positive).astype(np.int64)


def sort_by_score(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights [R, S] of the positive and the negative cases at each of S distinct scores, ascending."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    w, is_positive = weights[:, order], positive[order]
    return np.add.reduceat(w * is_positive, starts, axis=1), np.add.reduceat(w * ~is_positive, starts, axis=1)


def weighted_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r"""Compute the AUC of one score for all weightings, sorting the scores only once.

    .. math:: \mathrm{AUC} = \frac{\sum_{i \in P, j \in N} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2)}
              {\sum_{i \in P} w_i \sum_{j \in N} w_j}

    Shape:
        score: [n]. positive: [n] bool. weights: [R, n]. Result: [R], NaN if either side has no weight.
    """
    hits, misses = sort_by_score(score, positive, weights)
    below = np.cumsum(misses, axis=1) - misses
    return ratio((hits * (below + misses / 2)).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1))


def weighted_average_precision(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the average precision of one score: the area under the precision-recall steps.

    AP = sum_t (R_t - R_{t-1}) P_t over the distinct scores t in descending order, with recall R_t and precision
    P_t of the cases that score at least t. A classifier without skill reaches the prevalence of the class.

    Shape:
        score: [n]. positive: [n] bool. weights: [R, n]. Result: [R], NaN if either side has no weight.
    """
    hits, misses = (side[:, ::-1] for side in sort_by_score(score, positive, weights))
    true, called = np.cumsum(hits, axis=1), np.cumsum(hits + misses, axis=1)
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    positives, negatives = true[:, -1], called[:, -1] - true[:, -1]
    return ratio((hits * precision).sum(axis=1), np.where(negatives > 0, positives, 0.0))


def brier_score(probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the mean squared error of the probabilities; lower is better.

    With more than two classes it is the mean over cases of the sum over classes of (p_k - [y = k])², from 0 to 2;
    with two classes, as is usual, (p - y)² of one class, from 0 to 1, which is half of that sum.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78,
        1950.

    >>> brier_score(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
    array([0.15625])
    """
    size = probability.shape[1]
    error = np.square(probability - np.eye(size)[label]).sum(axis=1) / (2 if size == 2 else 1)
    w = np.ones((1, len(label))) if weights is None else weights
    return w @ error / w.sum(axis=1)


def confidence_bins(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability [n] of each case and its bin [n]: bin b holds (b / 15, (b + 1) / 15]."""
    confidence = probability.max(axis=1)
    return confidence, np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def expected_calibration_error(
    probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute the mean absolute difference between confidence and accuracy; lower is better.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

    over 15 equally wide bins of the confidence, i.e. the probability of the predicted class. It is biased
    upwards: with few cases per bin, even a perfectly calibrated model has an error above 0.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    >>> expected_calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).round(6)
    array([0.3])
    """
    confidence, number = confidence_bins(probability)
    gap = (probability.argmax(axis=1) == label) - confidence
    w = np.ones((1, len(label))) if weights is None else weights
    per_bin = w @ (np.eye(BINS)[number] * gap[:, None])
    return np.abs(per_bin).sum(axis=1) / w.sum(axis=1)


def mean_log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Compute the mean of -log p(true class), a proper score: lowest in expectation for the true probabilities.

    >>> round(mean_log_loss(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])), 6)
    0.490415
    """
    from sklearn.metrics import log_loss

    normalised = probability / probability.sum(axis=1, keepdims=True)
    return float(log_loss(label, normalised, labels=np.arange(probability.shape[1])))


def sensitivity_at(
    score: np.ndarray, positive: np.ndarray, false_positive: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the highest sensitivity whose false-positive rate does not exceed each of G given ones.

    Shape:
        score: [n]. positive: [n] bool. false_positive: [G]. weights: [R, n]. Result: [at most R, G], without
        weightings that leave one side without weight.
    """
    hits, misses = (np.cumsum(side[:, ::-1], axis=1) for side in sort_by_score(score, positive, weights))
    curves = []
    for true, false in zip(hits, misses, strict=True):
        if true[-1] > 0 and false[-1] > 0:
            last = np.searchsorted(false / false[-1], false_positive + 1e-12, side="right")
            curves.append(np.r_[0.0, true / true[-1]][last])
    return np.array(curves).reshape(-1, len(false_positive))


def net_benefit(
    risk: np.ndarray, positive: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute the net benefit of treating every case whose predicted risk reaches a threshold.

    .. math:: \mathrm{NB}(t) = \frac{TP}{n} - \frac{FP}{n} \cdot \frac{t}{1 - t}

    in units of true positives per case: treating at risk t means that one missed case is considered as bad as
    (1 - t) / t unnecessary treatments. Treating nobody is worth 0; treating everybody is `risk` all 1.

    Shape:
        risk: [n]. positive: [n] bool. thresholds: [T], from 0 to below 1. weights: [R, n]. Result: [R, T], or
        [1, T] without weights.

    Reference: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26, 2006.

    >>> risk, positive = np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, False, True, True])
    >>> net_benefit(risk, positive, np.array([0.2])).round(4)  # 2 / 4 - 1 / 4 * 0.25
    array([[0.4375]])
    """
    called = risk[:, None] >= thresholds
    worth = np.where(positive[:, None], 1.0, -thresholds / (1 - thresholds))
    w = np.ones((1, len(risk))) if weights is None else weights
    return w @ (called * worth) / w.sum(axis=1, keepdims=True)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide element-wise; NaN where the denominator is not above 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
