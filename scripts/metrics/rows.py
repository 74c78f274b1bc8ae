# SPDX-License-Identifier: Apache-2.0
"""All metrics of an evaluation with 95% intervals, one row per class and one for all classes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.cases.positive import positive_index
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import LEVEL, Interval, number_patients, patient_weights, percentile_interval
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.registry import DECISIONS, MACRO, METRICS, OVERALL, TITLES, weighted_scores
from scripts.metrics.scores import BINS, brier_score, confidence_bins, expected_calibration_error, net_benefit


def ece_interval(
    probability: np.ndarray, label: np.ndarray, patient: np.ndarray, values: np.ndarray, seed: int
) -> Interval:
    """Compute the 95% interval of the expected calibration error from its bootstrap draws, `values`.

    The error averages absolute values, so it is above 0 even for a perfectly calibrated model, and biased
    upwards again in each resample: percentiles would miss the truth. The upper bound is still the 0.975 quantile
    of the draws, which errs towards being too high. The lower bound is 0 unless the error exceeds the 0.975
    quantile for perfectly calibrated models with the same confidences; then it is twice the error minus the
    upper bound (the basic bootstrap). The cases of a patient are assumed to be right or wrong together.

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

    For the AUC by DeLong's variance on the logit scale, clustered by patient (`auc_intervals`); for all others by
    the percentile bootstrap: each draw takes as many patients as there are, with replacement, each with all of
    its cases. The interval of the expected calibration error is then corrected by `ece_interval`. A draw in
    which a metric is undefined is not used for it.

    Args:
        probabilities: [n, K].
        labels: [n], index of the true class.
        patients: the patient of each case; by default every case is its own patient.
        seed: of the resampling; the same seed gives the same interval.
        threshold, positive: as for `classification_table`.

    Returns:
        One dictionary per class, then one for the macro row: metric -> Interval. The bounds are None with fewer
        than 2 patients, for undefined metrics, or if fewer than half of the draws could be used.

    Raises:
        ValueError: as for `classification_table`; a wrong number of patients; draws below 1.

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


def classification_table(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    intervals: Sequence[Mapping[str, Interval]] | None = None,
    threshold: float | None = None,
    positive: int = 1,
) -> list[dict[str, Any]]:
    """Compute one row of metrics per class (this class against the rest) and a macro row.

    The predicted class is the one with the highest probability (the first one in a tie). In the row of class c, a
    case is positive if its class is c; AUC and average precision rank the cases by P(c):

        sensitivity = TP / (TP + FN)            specificity = TN / (TN + FP)
        balanced accuracy = (sensitivity + specificity) / 2
        accuracy = (TP + TN) / n                F1 = 2 TP / (2 TP + FP + FN)

    The macro row is the plain mean over the classes for which the metric is defined, except for two metrics with
    a usual multi-class meaning: its accuracy is the share of all n cases whose class is predicted correctly, and
    its balanced accuracy is the mean sensitivity over classes. Only this row has the metrics of `OVERALL`. A
    metric that is undefined because a class has no case, or because every case has that class, is None, and the
    row's `note` says why.

    Args:
        probabilities: [n, K], each row summing to 1.
        labels: [n], index of the true class.
        intervals: one entry per row, from `confidence_intervals`.
        threshold, positive: with two classes, predict the class of this index if its probability reaches this.

    Returns:
        K + 1 rows with the keys class, n, n_positive (None in the macro row), the metrics of `METRICS`, in
        the macro row also those of `OVERALL` (float or None), and note; with intervals, each metric also has
        <metric>_interval ([lower, upper] or None).

    Raises:
        ValueError: probabilities that are not finite or do not sum to 1, labels out of range, wrong shapes.

    >>> p = [[.9, .1], [.6, .4], [.7, .3], [.2, .8]]
    >>> rows = classification_table(p, [0, 0, 1, 1], ["low", "high"])
    >>> [(row["class"], row["auc"], row["sensitivity"]) for row in rows]
    [('low', 0.75, 1.0), ('high', 0.75, 0.5), ('macro', 0.75, 0.75)]
    """
    probability = as_probabilities(probabilities, classes)
    label = as_labels(labels, *probability.shape)
    n, once = len(label), np.ones((1, len(label)))
    scores = weighted_scores(probability, label, once, threshold, positive)
    # scikit-learn's Brier score requires probabilities that sum exactly to 1; those in a file are rounded
    exact = probability / probability.sum(axis=1, keepdims=True)
    scores["brier"] = brier_score(exact, label)[:, None]

    def values(names: Sequence[str], column: int) -> dict[str, float | None]:
        found = {name: float(scores[name][0, column]) for name in names}
        return {name: value if np.isfinite(value) else None for name, value in found.items()}

    rows: list[dict[str, Any]] = []
    for k, name in enumerate(classes):
        count = int((label == k).sum())
        row: dict[str, Any] = {"class": name, "n": n, "n_positive": count, **values(METRICS, k), "note": ""}
        if count in (0, n):
            reason = f"every case has class {name}" if count else f"no case of class {name}"
            undefined = [TITLES[metric] for metric in METRICS if row[metric] is None]
            row["note"] = f"{reason}: {', '.join(undefined[:-1])} and {undefined[-1]} are undefined"
        rows.append(row)
    notes = _interval_notes(intervals[-1] if intervals else {})
    without = [str(row["class"]) for row in rows if row["auc"] is None]
    if without:
        notes.insert(
            0,
            f"means leave out what is undefined: the AUC is over {len(classes) - len(without)} of "
            f"{len(classes)} classes (without {', '.join(without)})",
        )
    macro = {"class": MACRO, "n": n, "n_positive": None, **values((*METRICS, *OVERALL), -1)}
    rows.append(macro | {"note": "; ".join(notes)})
    for row, found in zip(rows, intervals or [], strict=bool(intervals)):
        row |= {f"{metric}_interval": interval.bounds for metric, interval in found.items()}
    return rows


def _interval_notes(intervals: Mapping[str, Interval]) -> list[str]:
    """Return the remarks on intervals, each once, with the metrics that it concerns."""
    about: dict[str, list[str]] = {}
    for metric, interval in intervals.items():
        if interval.note:
            about.setdefault(interval.note, []).append(metric.replace("_", " ").replace("auc", "AUC"))
    return [f"interval of {', '.join(metrics)}: {note}" for note, metrics in about.items()]


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
        probabilities, labels, patients, draws, seed: as for `confidence_intervals`; draws 0 gives no intervals.
        classes: two names.
        threshold: at least 0 and below 1.
        positive: name of the positive class; None is the last one.

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
