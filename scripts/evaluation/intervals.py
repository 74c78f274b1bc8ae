"""Confidence intervals of all metrics, taking patients rather than cases as what was sampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.auc_interval import auc_intervals
from scripts.evaluation.checks import as_labels, as_probabilities
from scripts.evaluation.ece_interval import ece_interval
from scripts.evaluation.interval import Interval, percentile_interval
from scripts.evaluation.metrics import weighted_scores
from scripts.evaluation.resampling import number_patients, patient_weights


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

    Of the AUC by DeLong's variance on the logit scale, clustered by patient (`auc_covariance`,
    `logit_interval`; where the AUC is 0 or 1 and that variance therefore 0, `score_interval` with the numbers
    of patients). Of all others by the percentile bootstrap: each draw takes as many patients as there are,
    with replacement, each with all of its cases; the interval runs from the 0.025 to the 0.975 quantile of
    the metric over the draws; that of the expected calibration error is then corrected by `ece_interval`. A
    draw that leaves a metric undefined is not used for it.

    Args:
        probabilities: one row per case.
        labels: index of the true class of each case.
        patients: the patient of each case; without it every case counts as one patient.
        draws: number of resamples.
        seed: of the resampling; the same seed gives the same interval.
        threshold, positive: as for `classification_table`.

    Shape:
        probabilities: [n, K]. labels: [n]. patients: n names.

    Returns:
        One dictionary per class, then one for the macro row: metric -> Interval. The bounds are None with
        fewer than 2 patients, for what is undefined, or when fewer than half of the draws could be used.

    Raises:
        ValueError: as for `classification_table`; patients of another length; no draws.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
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
