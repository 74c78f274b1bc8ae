"""The interval of the expected calibration error, which is biased upwards."""

from __future__ import annotations

import numpy as np

from scripts.evaluation.interval import LEVEL, Interval, percentile_interval
from scripts.evaluation.metrics.probabilities import BINS, confidence_bins, expected_calibration_error


def ece_interval(
    probability: np.ndarray, label: np.ndarray, patient: np.ndarray, values: np.ndarray, seed: int
) -> Interval:
    """Compute a 95% interval of the expected calibration error from its bootstrap draws.

    The error is an average of absolute values, hence above 0 even for a perfectly calibrated model, and above
    itself again in each resample: percentiles would leave out the truth. The upper bound is the 0.975
    quantile of the draws all the same, which is then too high rather than too low. The lower bound is 0 where
    the error is not above the 0.975 quantile of that of perfectly calibrated models with the same
    confidences, otherwise twice the error minus the upper bound (the basic bootstrap).

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        patient: number of the patient of each case, from 0 without gaps; their cases are taken to be right or
            wrong together.
        values: the error in each bootstrap draw.
        seed: of the resampling.

    Shape:
        probability: [n, K]. label and patient: [n]. values: [draws].

    Reference: Bröcker and Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting
        22, 2007 (resampling under perfect calibration).
    """
    n_patients = int(patient.max()) + 1
    found = percentile_interval(values, n_patients, seed)
    if found.upper is None:
        return found
    error = float(expected_calibration_error(probability, label)[0])
    confidence, number = confidence_bins(probability)
    rng = np.random.default_rng([seed, len(values), BINS])
    gap = (rng.random((len(values), n_patients))[:, patient] < confidence) - confidence
    calibrated = np.abs(gap @ np.eye(BINS)[number]).sum(axis=1) / len(label)
    sure = error > np.quantile(calibrated, (1 + LEVEL) / 2)
    lower = max(0.0, 2 * error - found.upper) if sure else 0.0
    return Interval(
        lower, max(found.upper, error), found.draws, found.draws_used, n_patients, seed,
        method="bootstrap, for an upward bias",
    )  # fmt: skip
