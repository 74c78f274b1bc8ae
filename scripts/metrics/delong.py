# SPDX-License-Identifier: Apache-2.0
"""Variances and covariances of AUCs by DeLong's method, also with several cases per patient."""

from __future__ import annotations

import math

import numpy as np
from scripts.metrics.interval import LEVEL, Interval
from scripts.metrics.scores import class_scores


def auc_covariance(
    scores: np.ndarray, positive: np.ndarray, patient: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute L correlated AUCs and their covariance matrix.

    The placement of a positive case is the share of negative cases that score lower, ties counting one half;
    that of a negative case the share of positive cases that score higher. The AUC is the mean of either.
    With :math:`a_l(c)` the sum over the positive cases of patient c of (placement - AUC) / number of positive
    cases, and :math:`b_l(c)` likewise for the negative ones,

    .. math:: \mathrm{cov}_{kl} = f^+_{kl} \sum_c a_k a_l + f^-_{kl} \sum_c b_k b_l
              + \tfrac{I}{I - 1} \sum_c (a_k b_l + b_k a_l)

    where I is the number of patients, I+ of whom have a positive case and I- a negative one, which gives the
    factors f+ = I+ / (I+ - 1) and f- = I- / (I- - 1) (the geometric mean if they differ between two AUCs). With
    one case per patient the last sum is 0 and this is DeLong's estimator; otherwise it is Obuchowski's.

    Shape:
        scores and positive: [n, L], one column per AUC, of several models or of several classes against the
        rest. patient: [n], numbers; None: every case is its own patient. Results: [L], [L, L]; the covariance is
        NaN if fewer than two patients have a positive, or a negative, case.

    Raises:
        ValueError: a column without positive or without negative cases.

    Reference:
        DeLong et al., Biometrics 44, 1988. Sun and Xu, IEEE Signal Processing Letters 21, 2014 (placements
        by ranks). Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53, 1997.
    """
    n, columns = scores.shape
    index = np.arange(n) if patient is None else np.unique(patient, return_inverse=True)[1]
    total = index.max() + 1
    aucs = np.empty(columns)
    a, b = np.empty((total, columns)), np.empty((total, columns))
    more, less = np.empty(columns), np.empty(columns)
    for k in range(columns):
        is_positive = positive[:, k].astype(bool)
        aucs[k], of_positive, of_negative = _placements(scores[:, k], is_positive)
        ours, others = index[is_positive], index[~is_positive]
        a[:, k] = np.bincount(ours, (of_positive - aucs[k]) / len(ours), total)
        b[:, k] = np.bincount(others, (of_negative - aucs[k]) / len(others), total)
        more[k], less[k] = _correction(len(np.unique(ours))), _correction(len(np.unique(others)))
    both = a.T @ b
    cross = 0.0 if not both.any() else _correction(total) * (both + both.T)
    return aucs, _geometric(more) * (a.T @ a) + _geometric(less) * (b.T @ b) + cross


def _placements(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the AUC and the placements of the positive and the negative cases, computed from ranks."""
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        raise ValueError(f"an AUC needs positive and negative cases, found {m} and {n}")
    rank = rankdata(score)
    of_positive = (rank[positive] - rankdata(score[positive])) / n
    of_negative = 1 - (rank[~positive] - rankdata(score[~positive])) / m
    return float(of_positive.mean()), of_positive, of_negative


def _correction(count: int) -> float:
    """Return count / (count - 1), NaN for a count of 1."""
    return count / (count - 1) if count > 1 else float("nan")


def _geometric(factor: np.ndarray) -> np.ndarray:
    """Return the geometric means of all pairs (on the diagonal the factor itself): [L] -> [L, L]."""
    return np.sqrt(factor[:, None] * factor[None, :])


def auc_intervals(probability: np.ndarray, label: np.ndarray, patient: np.ndarray, seed: int = 0) -> list[Interval]:
    """Compute the interval of the AUC of each class against the rest, then of their mean.

    On the logit scale, clustered by patient. If the AUC is 0 or 1, DeLong's variance is 0, and `score_interval`
    is used with the numbers of patients. The seed is only recorded.

    Shape:
        probability: [n, K]. label and patient (numbers): [n]. Result: K + 1 intervals.
    """
    size, n_patients = probability.shape[1], len(np.unique(patient))
    present = np.unique(label)

    def nothing(note: str) -> Interval:
        return Interval(None, None, 0, 0, n_patients, seed, note, method="none")

    def interval(auc: float, variance: float, counts: np.ndarray) -> Interval:
        if min(auc, 1 - auc) < 1e-12:
            note = "no pair of cases is in another order: score interval, as DeLong's variance is 0"
            bounds = score_interval(round(auc), int(counts[0]), int(counts[1]))
            return Interval(*bounds, 0, 0, n_patients, seed, note, method="score (Newcombe)")
        if not np.isfinite(variance):
            return nothing("needs at least 2 patients with the class and 2 without it")
        if variance < 1e-15:
            return nothing("the probabilities order all cases alike")
        return Interval(*logit_interval(auc, variance), 0, 0, n_patients, seed, method="DeLong, logit")

    if n_patients < 2:
        return [nothing("needs at least 2 patients")] * (size + 1)
    if len(present) < 2:
        return [nothing("all cases have one class")] * (size + 1)
    chosen = np.array([1]) if size == 2 else present  # two classes share one AUC
    positive = label[:, None] == chosen
    aucs, covariance = auc_covariance(class_scores(probability)[:, chosen], positive, patient)
    counts = np.array([[len(np.unique(patient[is_it == side])) for side in (True, False)] for is_it in positive.T])
    each = [interval(*values) for values in zip(aucs, np.diagonal(covariance), counts, strict=True)]
    if size == 2:
        return each * 3
    by_class = dict(zip(chosen.tolist(), each, strict=True))
    mean = interval(aucs.mean(), covariance.mean(), counts[counts.prod(axis=1).argmin()])
    return [*(by_class.get(k, nothing("no case of the class")) for k in range(size)), mean]


def logit_interval(auc: float, variance: float, level: float = LEVEL) -> tuple[float, float]:
    r"""Compute a confidence interval of an AUC on the logit scale, which keeps it between 0 and 1.

    .. math:: \mathrm{logit}(A) \pm z \frac{\sqrt{\mathrm{var}(A)}}{A (1 - A)}

    With few cases or a high AUC it keeps its coverage, while the percentile bootstrap and the untransformed
    interval are too short.

    The AUC is strictly between 0 and 1, its variance (from `auc_covariance`) above 0.

    Reference: Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction, Oxford
        2003, section 5.2.

    >>> [round(bound, 4) for bound in logit_interval(0.9, 0.0025)]
    [0.7518, 0.9639]
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(variance) / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def score_interval(auc: float, n_positive: int, n_negative: int, level: float = LEVEL) -> tuple[float, float]:
    r"""Compute a confidence interval of an AUC that exists even if no pair of cases is in the wrong order.

    It contains all values A that differ from the observed AUC by at most z standard errors, with the variance
    that A itself would have under exponential scores:

    .. math:: V(A) = \frac{A (1 - A)}{mn} \left[1 + (\tfrac{m + n}{2} - 1)
              \left(\frac{1 - A}{2 - A} + \frac{A}{1 + A}\right)\right]

    with m positive and n negative cases, at least 1 each.

    Reference: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
        part 2, Statistics in Medicine 25, 2006 (method 5).

    >>> [round(bound, 3) for bound in score_interval(1.0, 10, 10)]
    [0.8, 1.0]
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    z, mean = float(norm.ppf((1 + level) / 2)), (n_positive + n_negative) / 2

    def excess(value: float) -> float:
        spread = 1 + (mean - 1) * ((1 - value) / (2 - value) + value / (1 + value))
        variance = value * (1 - value) * spread / (n_positive * n_negative)
        return abs(value - auc) - z * math.sqrt(max(variance, 0.0))

    edge = 1e-9
    lower = 0.0 if auc <= edge else float(brentq(excess, 0.0, auc - edge))
    upper = 1.0 if auc >= 1 - edge else float(brentq(excess, auc + edge, 1.0))
    return lower, upper
