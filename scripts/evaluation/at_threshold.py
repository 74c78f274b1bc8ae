"""Two classes: what the threshold that was fixed before does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_probabilities
from scripts.evaluation.interval import percentile_interval
from scripts.evaluation.intervals import confidence_intervals
from scripts.evaluation.metrics import DECISIONS, classification_table, net_benefit
from scripts.evaluation.positive import positive_index
from scripts.evaluation.resampling import number_patients, patient_weights


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
