"""Confidence intervals of AUCs, from their covariance over patients."""

from __future__ import annotations

import math

import numpy as np

from scripts.evaluation.delong import auc_covariance
from scripts.evaluation.interval import LEVEL, Interval
from scripts.evaluation.metrics import class_scores


def auc_intervals(
    probability: np.ndarray, label: np.ndarray, patient: np.ndarray, seed: int = 0
) -> list[Interval]:
    """Compute the interval of the AUC of each class against the rest, then of their mean.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        patient: number of the patient of each case.
        seed: of the evaluation, to be recorded.

    Shape:
        probability: [n, K]. label and patient: [n]. Result: K + 1 intervals.
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
    counts = np.array(
        [[len(np.unique(patient[is_it == side])) for side in (True, False)] for is_it in positive.T]
    )
    each = [interval(*values) for values in zip(aucs, np.diagonal(covariance), counts, strict=True)]
    if size == 2:
        return each * 3
    by_class = dict(zip(chosen.tolist(), each, strict=True))
    mean = interval(aucs.mean(), covariance.mean(), counts[counts.prod(axis=1).argmin()])
    return [*(by_class.get(k, nothing("no case of the class")) for k in range(size)), mean]


def logit_interval(auc: float, variance: float, level: float = LEVEL) -> tuple[float, float]:
    r"""Compute a confidence interval of an AUC on the logit scale, so that it stays within 0 and 1.

    .. math:: \mathrm{logit}(A) \pm z \frac{\sqrt{\mathrm{var}(A)}}{A (1 - A)}

    With few cases or a high AUC it holds its level where the percentile bootstrap and the untransformed
    interval are too short; see docs/benchmarks.md.

    Args:
        auc: strictly between 0 and 1.
        variance: of the AUC, above 0; for instance from `auc_covariance`.
        level: wanted coverage.

    Reference: Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction, Oxford
        2003, section 5.2.

    Example:
        >>> [round(bound, 4) for bound in logit_interval(0.9, 0.0025)]
        [0.7518, 0.9639]
    """
    from scipy.special import expit, logit
    from scipy.stats import norm

    half = float(norm.ppf((1 + level) / 2)) * math.sqrt(variance) / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def score_interval(auc: float, n_positive: int, n_negative: int, level: float = LEVEL) -> tuple[float, float]:
    r"""Compute a confidence interval of an AUC that exists even where no pair of cases is in the wrong order.

    All values A that differ from the observed one by at most z standard errors, of the variance that they
    themselves would have under exponential scores:

    .. math:: V(A) = \frac{A (1 - A)}{mn} \left[1 + (\tfrac{m + n}{2} - 1)
              \left(\frac{1 - A}{2 - A} + \frac{A}{1 + A}\right)\right]

    Args:
        auc: observed, 0 and 1 included.
        n_positive: m, at least 1.
        n_negative: n, at least 1.
        level: wanted coverage.

    Reference: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
        part 2, Statistics in Medicine 25, 2006 (method 5).

    Example:
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
