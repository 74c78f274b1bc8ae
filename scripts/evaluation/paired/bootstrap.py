"""Paired bootstrap: the difference of any metric between two models on the same patients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_pair
from scripts.evaluation.interval import TAILS
from scripts.evaluation.metrics import METRICS, OVERALL, weighted_scores
from scripts.evaluation.paired.comparison import Comparison
from scripts.evaluation.resampling import number_patients, patient_weights

METHOD = "paired bootstrap"


def bootstrap_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    metric: str,
    patients: Sequence[str] | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compute the difference of a metric of all classes together, over resamples of the patients.

    Both models are measured on the same resample each time, so that what makes a resample easy or hard for
    both cancels. The interval runs from the 0.025 to the 0.975 quantile of the differences. The p-value is
    twice the smaller share of resamples, with one added to either count, in which the difference is at most,
    or at least, 0: it is never below 2 / (draws + 1).

    Args:
        first, second: probabilities of the two models, rows in the same order.
        labels: index of the true class of each case.
        metric: one of `METRICS` (its macro value) or of `OVERALL`.
        patients: the patient of each case; without it every case counts as one patient.
        draws: number of resamples.
        seed: of the resampling.

    Shape:
        first and second: [n, K]. labels: [n].

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
        return Comparison(a, b, a - b, None, None, None, METHOD, note)
    lower, upper = (float(np.quantile(values, q)) for q in TAILS)
    beyond = min(int((values <= 0).sum()), int((values >= 0).sum()))
    p_value = min(1.0, 2 * (beyond + 1) / (len(values) + 1))
    return Comparison(a, b, a - b, lower, upper, p_value, METHOD)
