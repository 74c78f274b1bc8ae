# SPDX-License-Identifier: Apache-2.0
"""95% intervals of every metric; that of the expected calibration error allows for its upward bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import LEVEL, Interval, number_patients, patient_weights, percentile_interval
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.registry import weighted_scores
from scripts.metrics.scores import BINS, confidence_bins, expected_calibration_error


def ece_interval(
    probability: np.ndarray, label: np.ndarray, patient: np.ndarray, values: np.ndarray, seed: int
) -> Interval:
    """Compute a 95% interval of the expected calibration error from its bootstrap draws, `values`.

    The error is an average of absolute values, hence above 0 even for a perfectly calibrated model, and above
    itself again in each resample: percentiles would leave out the truth. The upper bound is the 0.975
    quantile of the draws all the same, which is then too high rather than too low. The lower bound is 0 where
    the error is not above the 0.975 quantile of that of perfectly calibrated models with the same
    confidences, otherwise twice the error minus the upper bound (the basic bootstrap). The cases of a patient
    are taken to be right or wrong together.

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


def confidence_intervals(
    probabilities: ArrayLike,
    labels: ArrayLike,
    patients: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    threshold: float | None = None,
    positive: int = 1,
) -> list[dict[str, Interval]]:
    """Compute 95% intervals of every metric of every row of `classification_table`.

    Of the AUC by DeLong's variance on the logit scale, clustered by patient (`auc_intervals`). Of all others
    by the percentile bootstrap: each draw takes as many patients as there are, with replacement, each with
    all of its cases; that of the expected calibration error is then corrected by `ece_interval`. A draw that
    leaves a metric undefined is not used for it.

    Args:
        probabilities: [n, K].
        labels: [n], index of the true class.
        patients: the patient of each case; without it every case counts as one patient.
        seed: of the resampling; the same seed gives the same interval.
        threshold, positive: as for `classification_table`.

    Returns:
        One dictionary per class, then one for the macro row: metric -> Interval. The bounds are None with
        fewer than 2 patients, for what is undefined, or when fewer than half of the draws could be used.

    Raises:
        ValueError: as for `classification_table`; patients of another length; no draws.

    Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    probability = as_probabilities(probabilities)
    label = as_labels(labels, *probability.shape)
    patient = number_patients(patients, len(label))
    n_patients, rows = int(patient.max()) + 1, probability.shape[1] + 1
    parts = [
        weighted_scores(probability, label, weights, threshold, positive)
        for weights in patient_weights(patient, draws, seed)
    ]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found: list[dict[str, Interval]] = [{} for _ in range(rows)]
    for name, values in scores.items():
        for row, column in zip(found[-values.shape[1] :], values.T, strict=True):
            row[name] = percentile_interval(column, n_patients, seed)
    found[-1]["ece"] = ece_interval(probability, label, patient, scores["ece"][:, 0], seed)
    for row, interval in zip(found, auc_intervals(probability, label, patient, seed), strict=True):
        row["auc"] = interval
    return found
