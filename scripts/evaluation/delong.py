"""How AUCs vary, alone and together: DeLong's covariance, for several cases per patient too."""

from __future__ import annotations

import numpy as np


def auc_covariance(
    scores: np.ndarray, positive: np.ndarray, patient: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Compute L correlated AUCs and their covariance matrix.

    The placement of a positive case is the share of negative cases that it beats, equal scores counting one
    half; that of a negative case the share of positive cases that beat it. The AUC is the mean of either.
    With :math:`a_l(c)` the sum over the positive cases of patient c of (placement - AUC) / number of positive
    cases, and :math:`b_l(c)` likewise of the negative ones,

    .. math:: \mathrm{cov}_{kl} = f^+_{kl} \sum_c a_k a_l + f^-_{kl} \sum_c b_k b_l
              + \tfrac{I}{I - 1} \sum_c (a_k b_l + b_k a_l)

    where I patients, of whom I+ have a positive case and I- a negative one, give the factors
    f+ = I+ / (I+ - 1) and f- = I- / (I- - 1) (the geometric mean of both AUCs' where these differ). With one
    case per patient the last sum is 0 and this is DeLong's estimator; otherwise Obuchowski's.

    Args:
        scores: one column per AUC: of several models, or of several classes against the rest.
        positive: whether a case is positive, for each AUC; the same column again for several models.
        patient: number of the patient of each case; None: every case is a patient.

    Shape:
        scores and positive: [n, L]. patient: [n]. Results: [L], [L, L]; the covariance is NaN where fewer
        than two patients have a positive, or a negative, case.

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
    """Return the AUC and the placements of the positive and of the negative cases, by ranks."""
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        raise ValueError(f"an AUC needs positive and negative cases, found {m} and {n}")
    rank = rankdata(score)
    of_positive = (rank[positive] - rankdata(score[positive])) / n
    of_negative = 1 - (rank[~positive] - rankdata(score[~positive])) / m
    return float(of_positive.mean()), of_positive, of_negative


def _correction(count: int) -> float:
    """Return count / (count - 1), NaN for a single one."""
    return count / (count - 1) if count > 1 else float("nan")


def _geometric(factor: np.ndarray) -> np.ndarray:
    """Return the geometric means of all pairs, the factor itself on the diagonal: [L] -> [L, L]."""
    return np.sqrt(factor[:, None] * factor[None, :])
