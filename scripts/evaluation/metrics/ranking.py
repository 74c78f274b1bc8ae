"""How well a probability orders the cases: AUC and average precision, under many weightings at once."""

from __future__ import annotations

import numpy as np


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
