# SPDX-License-Identifier: Apache-2.0
"""All metrics of an evaluation, one row per class and one for all together, and those at a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scripts.cases.positive import positive_index
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval
from scripts.metrics.intervals import confidence_intervals
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.registry import DECISIONS, MACRO, METRICS, OVERALL, TITLES, weighted_scores
from scripts.metrics.scores import brier_score, net_benefit

if TYPE_CHECKING:
    from scripts.metrics.interval import Interval


def classification_table(
    probabilities: ArrayLike,
    labels: ArrayLike,
    classes: Sequence[str],
    intervals: Sequence[Mapping[str, Interval]] | None = None,
    threshold: float | None = None,
    positive: int = 1,
) -> list[dict[str, Any]]:
    """Compute one row of metrics per class (this class against the rest) and a macro row.

    The predicted class is the one with the highest probability (of equal ones, the first). In the row of
    class c, a case is positive when its class is c; AUC and average precision rank the cases by P(c):

        sensitivity = TP / (TP + FN)            specificity = TN / (TN + FP)
        balanced accuracy = (sensitivity + specificity) / 2
        accuracy = (TP + TN) / n                F1 = 2 TP / (2 TP + FP + FN)

    The macro row is the plain mean over the classes for which the metric is defined, but for two columns that
    have a usual multi-class meaning of their own: its accuracy is the share of all n cases whose class is
    predicted right, and its balanced accuracy is the mean sensitivity over classes. It alone has the metrics
    of `OVERALL`. A metric that is undefined because a class has no case, or because every case has that
    class, is None, and the row's `note` says why.

    Args:
        probabilities: [n, K], each row summing to 1.
        labels: [n], index of the true class.
        intervals: of each row, from `confidence_intervals`.
        threshold, positive: with two classes, predict the one of this index from this probability on.

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
    # scikit-learn's Brier score takes probabilities that sum to 1 exactly, those of a file are rounded
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
    """Return what is to be said about intervals, each remark once, with the metrics that it is about."""
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
        probabilities, labels, patients, draws, seed: as for `confidence_intervals`; no draws, no intervals.
        classes: two names.
        threshold: from 0 to below 1.
        positive: name of the positive class; None is the last.

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
