"""Bootstrap confidence intervals, resampling patients rather than cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_probabilities
from scripts.evaluation.metrics import class_scores

LEVEL = 0.95
"""Coverage of the intervals."""

CHUNK = 4_000_000
"""At most so many resampled weights are held at once (32 MB)."""


@dataclass(frozen=True)
class Interval:
    """One interval and how it was got; lower and upper are None when there is none, and note says why."""

    lower: float | None
    upper: float | None
    draws: int
    draws_used: int
    n_patients: int
    seed: int
    note: str = ""
    level: float = LEVEL

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return asdict(self)


def bootstrap_intervals(
    probabilities: ArrayLike,
    labels: ArrayLike,
    patients: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute 95% percentile bootstrap intervals of the macro AUC and of the accuracy.

    Each draw takes as many patients as there are, with replacement, each with all of its cases; the interval
    runs from the 0.025 to the 0.975 quantile of the metric over the draws. A draw in which a class is left
    without a case has no macro AUC and is not used for it.

    Args:
        probabilities: one row per case.
        labels: index of the true class of each case.
        patients: the patient of each case; without it every case counts as one patient.
        draws: number of resamples.
        seed: of the resampling; the same seed gives the same interval.

    Shape:
        probabilities: [n, K]. labels: [n]. patients: n names.

    Returns:
        {"auc": Interval, "accuracy": Interval}. The bounds are None with fewer than 2 patients, with cases of
        one class only (AUC), or when fewer than half of the draws could be used.

    Raises:
        ValueError: as for `classification_table`; patients of another length; no draws.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    probability = as_probabilities(probabilities)
    label = as_labels(labels, *probability.shape)
    n = len(label)
    if patients is not None and len(patients) != n:
        raise ValueError(f"there must be one patient per case, found {len(patients)} for {n} cases")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, found {draws}")
    number: dict[str | int, int] = {}
    names = range(n) if patients is None else patients
    patient = np.array([number.setdefault(name, len(number)) for name in names])
    n_patients = len(number)
    right = (probability.argmax(axis=1) == label).astype(np.float64)
    score, found = class_scores(probability), np.unique(label)
    if n_patients < 2:
        nothing = Interval(None, None, draws, 0, n_patients, seed, "needs at least 2 patients")
        return {"auc": nothing, "accuracy": nothing}
    rng = np.random.default_rng(seed)
    accuracy, auc = [], []
    step = max(1, CHUNK // n)
    for start in range(0, draws, step):
        counts = rng.multinomial(
            n_patients, np.full(n_patients, 1 / n_patients), size=min(step, draws - start)
        )
        weights = counts[:, patient].astype(np.float64)
        accuracy.append(weights @ right / weights.sum(axis=1))
        if len(found) > 1:
            auc.append(np.mean([weighted_auc(score[:, k], label == k, weights) for k in found], axis=0))
    intervals = {"auc": Interval(None, None, draws, 0, n_patients, seed, "all cases have one class")}
    if auc:
        intervals["auc"] = _percentile_interval(np.concatenate(auc), n_patients, seed)
    intervals["accuracy"] = _percentile_interval(np.concatenate(accuracy), n_patients, seed)
    return intervals


def _percentile_interval(values: np.ndarray, n_patients: int, seed: int) -> Interval:
    """Turn the draws of one metric [draws], NaN where undefined, into an interval."""
    defined = values[np.isfinite(values)]
    draws, used = len(values), len(defined)
    if used < draws / 2:
        note = f"only {used} of {draws} draws hold every class: too few cases of the rarest class"
        return Interval(None, None, draws, used, n_patients, seed, note)
    lower, upper = (float(np.quantile(defined, q)) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    notes = []
    if used < draws:
        notes.append(f"from {used} of {draws} draws, the others miss a class")
    if lower == upper:
        notes.append(
            f"no width, as all resamples of the {n_patients} patients agree; that does not make it certain"
        )
    return Interval(lower, upper, draws, used, n_patients, seed, "; ".join(notes))


def weighted_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the AUC of one score under many weightings of the cases at once.

    AUC = sum_{i positive, j negative} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum_i w_i · sum_j w_j), from
    one sort of the scores instead of one per weighting.

    Args:
        score: P(class) of each case.
        positive: whether the case has the class.
        weights: one weighting of the cases per row, not negative.

    Shape:
        score: [n]. positive: [n] bool. weights: [R, n]. Result: [R], NaN where one side has no weight.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    w, is_positive = weights[:, order], positive[order]
    hits = np.add.reduceat(w * is_positive, starts, axis=1)
    misses = np.add.reduceat(w * ~is_positive, starts, axis=1)
    below = np.cumsum(misses, axis=1) - misses
    pairs = hits.sum(axis=1) * misses.sum(axis=1)
    area = (hits * (below + misses / 2)).sum(axis=1)
    return np.divide(area, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
