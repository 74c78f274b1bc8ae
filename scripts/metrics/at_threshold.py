"""What a decision at a threshold is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.cases.positive import positive_index
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval
from scripts.metrics.intervals import confidence_intervals
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.rows import classification_table
from scripts.metrics.scores import DECISIONS


def net_benefit(
    risk: np.ndarray, positive: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute the net benefit of treating every case whose predicted risk reaches a threshold.

    .. math:: \mathrm{NB}(t) = \frac{TP}{n} - \frac{FP}{n} \cdot \frac{t}{1 - t}

    in units of true positives per case: who would treat at risk t takes one missed case to be as bad as
    (1 - t) / t unnecessary treatments. Treating nobody is worth 0; treating everybody is `risk` all 1.

    Args:
        risk: P(class) of each case.
        positive: whether the case has the class.
        thresholds: from 0 to below 1.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        risk: [n]. positive: [n] bool. thresholds: [T]. weights: [R, n]. Result: [R, T], or [1, T].

    Reference: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26, 2006.

    Example:
        >>> risk, positive = np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, False, True, True])
        >>> net_benefit(risk, positive, np.array([0.2])).round(4)  # 2 / 4 - 1 / 4 * 0.25
        array([[0.4375]])
    """
    called = risk[:, None] >= thresholds
    worth = np.where(positive[:, None], 1.0, -thresholds / (1 - thresholds))
    w = np.ones((1, len(risk))) if weights is None else weights
    return w @ (called * worth) / w.sum(axis=1, keepdims=True)


def threshold_row(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    threshold: float,
    patients: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    positive: str | None = None,
) -> dict[str, Any]:
    """Compute the metrics of calling every case positive whose P(positive class) reaches the threshold.

    Args:
        probabilities: one row per case.
        labels: index of the true class of each case.
        classes: two class names.
        threshold: from 0 to below 1.
        patients: the patient of each case; without it every case counts as one patient.
        draws: number of bootstrap resamples; 0 for no intervals.
        seed: of the resampling.
        positive: name of the positive class; None is the last.

    Shape:
        probabilities: [n, 2]. labels: [n].

    Returns:
        class (the positive one), threshold, the metrics of `DECISIONS`, kappa, net_benefit and
        net_benefit_of_treating_all (float or None); with draws, each but the last also <metric>_interval.

    Raises:
        ValueError: as for `classification_table`; more than two classes.
    """
    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    k = positive_index(classes, positive)
    found = confidence_intervals(probability, label, patients, draws, seed, threshold, k) if draws else None
    rows = classification_table(probability, label, classes, found, threshold, k)
    row: dict[str, Any] = {"class": classes[k], "threshold": threshold}
    for name, source in [*((name, rows[k]) for name in DECISIONS), ("kappa", rows[-1])]:
        row |= {key: source[key] for key in (name, f"{name}_interval") if key in source}
    cutoff, is_it, risk = np.array([threshold]), label == k, probability[:, k]
    row["net_benefit"] = float(net_benefit(risk, is_it, cutoff)[0, 0])
    if draws:
        patient = number_patients(patients, len(label))
        values = [net_benefit(risk, is_it, cutoff, w)[:, 0] for w in patient_weights(patient, draws, seed)]
        interval = percentile_interval(np.concatenate(values), int(patient.max()) + 1, seed)
        row["net_benefit_interval"] = interval.bounds
    row["net_benefit_of_treating_all"] = float(net_benefit(np.ones(len(label)), is_it, cutoff)[0, 0])
    return row
