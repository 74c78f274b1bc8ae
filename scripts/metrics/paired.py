# SPDX-License-Identifier: Apache-2.0
"""Tests for a difference between two models: DeLong's, the paired bootstrap, a t-test over folds; Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.metrics.delong import auc_covariance
from scripts.metrics.interval import LEVEL, TAILS, number_patients, patient_weights
from scripts.metrics.predictions import as_labels, as_pair
from scripts.metrics.registry import METRICS, OVERALL, weighted_scores
from scripts.metrics.scores import class_scores


@dataclass(frozen=True)
class Comparison:
    """The difference of a metric between two models (first minus second).

    Attributes:
        lower, upper: 95% interval of the difference; if there is none, they are None and note says why.
    """

    first: float
    second: float
    difference: float
    lower: float | None
    upper: float | None
    p_value: float | None  # two-sided, for no difference; None if there is none
    method: str
    note: str = ""  # remark for the reader


def p_text(p_value: float | None) -> str:
    """Format a p-value with three digits, never as zero; a missing one is a dash.

    >>> p_text(0.0371), p_text(0.0002), p_text(None)
    ('0.037', '<0.001', '–')
    """
    if p_value is None:
        return "–"
    return f"{p_value:.3f}" if p_value >= 0.0005 else "<0.001"


DELONG = "DeLong"


def delong_test(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, patients: Sequence[str] | None = None
) -> Comparison:
    r"""Test whether two models have the same AUC, or with more than two classes the same mean AUC.

    .. math:: z = \frac{A_1 - A_2}{\sqrt{\mathrm{var}(A_1) + \mathrm{var}(A_2) - 2\,\mathrm{cov}(A_1, A_2)}}

    with the covariance of `auc_covariance`, which accounts for several cases of a patient (Obuchowski), and a
    standard normal distribution of z.

    Args:
        first, second: [n, K], probabilities of the two models, rows in the same order.
        labels: [n], index of the true class.
        patients: the patient of each case; by default every case is its own patient.

    Returns:
        The comparison; without p-value and interval if the variance is 0 although the AUCs differ, or if there
        are too few patients.

    Raises:
        ValueError: as for `classification_table`; all cases of one class; different shapes.

    Reference: DeLong et al., Biometrics 44, 1988. Obuchowski, Biometrics 53, 1997.
    """
    from scipy.stats import norm

    one, other = as_pair(first, second)
    label = as_labels(labels, *one.shape)
    found = np.unique(label)
    if len(found) < 2:
        raise ValueError(f"DeLong's test needs cases of at least 2 classes, found only class {found[0]}")
    chosen = np.array([1]) if one.shape[1] == 2 else found
    scores = np.hstack([class_scores(one)[:, chosen], class_scores(other)[:, chosen]])
    positive = np.tile(label[:, None] == chosen, (1, 2))
    aucs, covariance = auc_covariance(scores, positive, number_patients(patients, len(label)))
    contrast = np.repeat([1.0, -1.0], len(chosen)) / len(chosen)
    difference, variance = float(contrast @ aucs), float(contrast @ covariance @ contrast)
    a, b = (float(part.mean()) for part in np.split(aucs, 2))
    if not np.isfinite(variance):
        note = "needs at least 2 patients with each class and 2 without it"
        return Comparison(a, b, difference, None, None, None, DELONG, note)
    if variance < 1e-15:
        if abs(difference) < 1e-12:
            return Comparison(a, b, 0.0, 0.0, 0.0, 1.0, DELONG, "the two order all cases alike")
        note = "the variance is 0 though the AUCs differ: use the bootstrap"
        return Comparison(a, b, difference, None, None, None, DELONG, note)
    error = float(np.sqrt(variance))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    p_value = float(2 * norm.sf(abs(difference) / error))
    return Comparison(a, b, difference, difference - half, difference + half, p_value, DELONG)


BOOTSTRAP = "paired bootstrap"


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    metric: str,
    patients: Sequence[str] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare a metric of all classes together between two models by resampling the patients.

    Both models are measured on the same resamples, so that what makes a resample easy or hard for both cancels
    out. The interval runs from the 0.025 to the 0.975 quantile of the differences. The p-value is twice the
    smaller of the shares of resamples with a difference of at most 0 and of at least 0, with one added to
    numerator and denominator: it is never below 2 / (draws + 1).

    Args:
        first, second, labels, patients: as for `delong_test`.
        metric: one of `METRICS` (its macro value) or of `OVERALL`.
        draws, seed: as for `patient_weights`.

    Raises:
        ValueError: as for `classification_table`; an unknown metric; different shapes.
    """
    if metric not in (*METRICS, *OVERALL):
        raise ValueError(f"metric must be one of {', '.join((*METRICS, *OVERALL))}, found {metric!r}")
    one, other = as_pair(first, second)
    label = as_labels(labels, *one.shape)
    patient = number_patients(patients, len(label))

    def measure(probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return weighted_scores(probability, label, weights)[metric][:, -1]

    once = np.ones((1, len(label)))
    a, b = float(measure(one, once)[0]), float(measure(other, once)[0])
    parts = [measure(one, w) - measure(other, w) for w in patient_weights(patient, draws, seed)]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if len(values) < draws / 2 or patient.max() == 0:
        note = f"only {len(values)} of {draws} resamples of {int(patient.max()) + 1} patients define it"
        return Comparison(a, b, a - b, None, None, None, BOOTSTRAP, note)
    lower, upper = (float(np.quantile(values, q)) for q in TAILS)
    beyond = min(int((values <= 0).sum()), int((values >= 0).sum()))
    p_value = min(1.0, 2 * (beyond + 1) / (len(values) + 1))
    return Comparison(a, b, a - b, lower, upper, p_value, BOOTSTRAP)


T_TEST = "corrected resampled t-test"


def corrected_t_test(first: Sequence[float], second: Sequence[float], n_train: float, n_test: float) -> Comparison:
    r"""Test whether two models differ on average over k folds or resamples of one dataset.

    .. math:: t = \bar d \Big/ \sqrt{\left(\frac{1}{k} + \frac{n_2}{n_1}\right) s_d^2}, \quad k - 1
              \text{ degrees of freedom}

    The plain paired t-test treats the folds as independent and is far too confident; the additional term
    :math:`n_2 / n_1` accounts for the training cases that they share. If a site is left out repeatedly, average
    over its repeats first: it is one fold.

    Args:
        first, second: the metric of each model in each fold, in the same order.
        n_train: training patients per fold, on average.
        n_test: test patients per fold, on average.

    Raises:
        ValueError: fewer than 2 folds, lists of different lengths, a value that is not finite, no patients.

    Reference: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003.

    >>> found = corrected_t_test([0.80, 0.82, 0.85, 0.79, 0.84], [0.78, 0.79, 0.84, 0.80, 0.81], 80, 20)
    >>> round(found.difference, 3), round(found.p_value, 3)
    (0.016, 0.227)
    """
    from scipy.stats import t

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"both models need one value for each of the same 2 or more folds, found {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the metric of a fold must be finite; leave folds out in which it is undefined")
    if n_train <= 0 or n_test <= 0:
        raise ValueError(f"n_train and n_test must be above 0, found {n_train} and {n_test}")
    difference = a - b
    mean, k = float(difference.mean()), len(difference)
    error = math.sqrt((1 / k + n_test / n_train) * float(difference.var(ddof=1)))
    values = float(a.mean()), float(b.mean()), mean
    if error < 1e-15:
        if abs(mean) < 1e-12:
            return Comparison(*values, 0.0, 0.0, 1.0, T_TEST, "the two are equal in every fold")
        note = "the difference is the same in every fold, so that its spread is not known"
        return Comparison(*values, None, None, None, T_TEST, note)
    half = float(t.ppf((1 + LEVEL) / 2, k - 1)) * error
    p_value = float(2 * t.sf(abs(mean) / error, k - 1))
    return Comparison(*values, mean - half, mean + half, p_value, T_TEST)


def holm(p_values: Sequence[float]) -> list[float]:
    r"""Adjust p-values so that the probability of any false rejection among all m tests stays below the level.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\left(1, (m - j + 1)\, p_{(j)}\right)

    for the p-values in ascending order. It is never less powerful than Bonferroni's factor m, and valid under any
    dependence between the tests.

    Args:
        p_values: p-values of all tests that were made, not only of the promising ones.

    Raises:
        ValueError: a p-value outside [0, 1].

    Reference: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must lie between 0 and 1, found {p.tolist()}")
    order = np.argsort(p, kind="stable")
    rising = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(rising)
    adjusted[order] = rising
    return adjusted.tolist()


def add_holm(rows: Sequence[dict[str, Any]]) -> None:
    """Set `p_holm` of each row to its corrected `p_value`, or to None if it has no p-value."""
    tested = [row for row in rows if row["p_value"] is not None]
    for row in rows:
        row["p_holm"] = None
    for row, p_value in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
        row["p_holm"] = p_value
