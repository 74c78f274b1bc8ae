# SPDX-License-Identifier: Apache-2.0
"""Calibration intercept and slope, and the recalibration of a model's probabilities on cases of another hospital."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval

SMALLEST = 1e-9  # Probability below which a prediction counts as this
FEWEST = 20  # Cases that a recalibration needs
FEWEST_PER_CLASS = 5  # of each class
STEPS = 50  # of Newton's method
Estimate = tuple[float, Sequence[float] | None]
"""A value and its 95% interval; NaN and None where they are not defined."""


def calibration_intercept(risk: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    r"""Return a of :math:`\mathrm{logit} P(y = 1) = a + \mathrm{logit}(p)`: 0 if risks are right on average.

    Above 0 the risks are too low, below 0 too high (calibration in the large). NaN if a class has no case.

    Reference: Van Calster et al., A calibration hierarchy for risk models, J Clin Epidemiol 74, 2016.
    """
    z = logit(np.clip(risk, SMALLEST, 1 - SMALLEST))
    return float(_newton(np.ones((len(z), 1)), z, positive, weights)[0])


def calibration_slope(risk: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    r"""Return b of :math:`\mathrm{logit} P(y = 1) = a + b\, \mathrm{logit}(p)`: 1 if risks spread as they should.

    Below 1 they are too extreme, above 1 too moderate. NaN if a class has no case, or risks part the classes.

    Reference: Cox, Two further applications of a model for binary regression, Biometrika 45, 1958.
    """
    z = logit(np.clip(risk, SMALLEST, 1 - SMALLEST))
    return float(_newton(np.stack([np.ones_like(z), z], axis=1), np.zeros_like(z), positive, weights)[1])


def _newton(x: np.ndarray, offset: np.ndarray, positive: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the coefficients of a logistic regression by Newton's method; NaN where it does not converge."""
    weight = np.ones(len(x)) if weights is None else weights
    y, found = positive.astype(float), np.zeros(x.shape[1])
    if not 0 < weight @ y < weight.sum():
        return np.full_like(found, np.nan)
    for _ in range(STEPS):
        mean = expit(offset + x @ found)
        gradient = x.T @ (weight * (y - mean))
        curvature = (x * (weight * mean * (1 - mean))[:, None]).T @ x
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            break
        found = found + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-9:
            return found
    return np.full_like(found, np.nan)


def with_interval(
    of: object, risk: np.ndarray, positive: np.ndarray, patients: Sequence[str], draws: int, seed: int
) -> Estimate:
    """Return `calibration_intercept` or `calibration_slope` with a percentile interval over patients."""
    assert callable(of)
    value = of(risk, positive)
    number = number_patients(patients, len(risk))
    weights = np.concatenate(list(patient_weights(number, draws, seed)))
    found = np.array([of(risk, positive, one) for one in weights])
    bounds = percentile_interval(found, int(number.max()) + 1, seed).bounds if np.isfinite(value) else None
    return value, bounds


def fit_recalibration(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    r"""Fit slope b and an intercept per class, which maximise the likelihood of the true classes.

    .. math:: q = \mathrm{softmax}(a + b \log p), \quad a_1 = 0

    With two classes this is logistic recalibration (intercept and slope), with more temperature scaling with a bias.

    Returns:
        [K]: b, then the intercepts of the classes after the first.

    Raises:
        ValueError: fewer than 20 cases, or than 5 of a class.

    Reference: Steyerberg, Clinical prediction models, 2019, chapter 20; Alexandari et al., Maximum likelihood with
        bias-corrected calibration is hard-to-beat at label shift adaptation, ICML 2020.
    """
    counts = np.bincount(label, minlength=probability.shape[1])
    if len(label) < FEWEST or counts.min() < FEWEST_PER_CLASS:
        raise ValueError(
            f"a recalibration needs {FEWEST} cases and {FEWEST_PER_CLASS} of each class, found {len(label)} with "
            f"{', '.join(map(str, counts))} of the classes; give a larger --recalibration, or leave it out"
        )

    def loss(values: np.ndarray) -> float:
        found = log_softmax(_logits(probability, values), axis=1)[np.arange(len(label)), label]
        return float(-found.mean() + 1e-6 * (values**2).sum())  # keeps parted classes finite

    start = np.r_[1.0, np.zeros(probability.shape[1] - 1)]
    return np.asarray(minimize(loss, start, method="BFGS").x)


def recalibrated(probability: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the probabilities [n, K] after a recalibration."""
    return softmax(_logits(probability, values), axis=1)


def _logits(probability: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.r_[0.0, values[1:]] + values[0] * np.log(np.clip(probability, SMALLEST, None))
