"""95% bands of curves, by the bootstrap over patients."""

from __future__ import annotations

import numpy as np

from scripts.metrics.at_threshold import net_benefit
from scripts.metrics.interval import TAILS, patient_weights
from scripts.metrics.scores import sort_by_score


def roc_band(
    score: np.ndarray,
    positive: np.ndarray,
    patient: np.ndarray,
    false_positive: np.ndarray,
    draws: int = 500,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95% band of the sensitivity at given false-positive rates.

    At each rate separately (pointwise): the 0.025 and 0.975 quantiles, over the draws, of the highest
    sensitivity whose false-positive rate is not above it.

    Args:
        score: P(class) of each case.
        positive: whether the case has the class.
        patient: number of the patient of each case.
        false_positive: rates between 0 and 1.
        draws: number of resamples.
        seed: of the resampling.

    Shape:
        score, positive and patient: [n]. false_positive and both results: [G].
    """
    curves = []
    for weights in patient_weights(patient, draws, seed):
        hits, misses = (np.cumsum(side[:, ::-1], axis=1) for side in sort_by_score(score, positive, weights))
        for true, false in zip(hits, misses, strict=True):
            if true[-1] > 0 and false[-1] > 0:
                last = np.searchsorted(false / false[-1], false_positive + 1e-12, side="right")
                curves.append(np.r_[0.0, true / true[-1]][last])
    return _band(np.array(curves))


def net_benefit_band(
    risk: np.ndarray,
    positive: np.ndarray,
    patient: np.ndarray,
    thresholds: np.ndarray,
    draws: int = 500,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95% band of the net benefit, at each threshold separately.

    Args:
        risk: P(class) of each case.
        positive: whether the case has the class.
        patient: number of the patient of each case.
        thresholds: from 0 to below 1.
        draws: number of resamples.
        seed: of the resampling.

    Shape:
        risk, positive and patient: [n]. thresholds and both results: [T].
    """
    parts = [net_benefit(risk, positive, thresholds, w) for w in patient_weights(patient, draws, seed)]
    return _band(np.concatenate(parts))


def _band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper quantile of curves [draws, G] at each point."""
    lower, upper = np.quantile(curves, TAILS, axis=0)
    return lower, upper
