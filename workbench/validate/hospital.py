# SPDX-License-Identifier: Apache-2.0
"""How a model does on one group of cases: discrimination, calibration, coverage of its prediction sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scripts.cases.positive import positive_index
from scripts.metrics.interval import wilson_interval
from scripts.metrics.prediction_sets import LEVELS, Evidence
from scripts.metrics.predictions import Predictions
from scripts.metrics.rows import classification_table, confidence_intervals
from workbench.validate.recalibration import Estimate, calibration_intercept, calibration_slope, with_interval


@dataclass(frozen=True)
class Group:
    """Cases with a class, as one column of the tables."""

    name: str
    probability: np.ndarray  # [n, K]
    label: np.ndarray  # [n]
    patients: Sequence[str]
    evidence: Evidence | None = None  # calibration cases of its prediction sets
    for_sets: np.ndarray | None = None  # [n, K], the probabilities that these are about, if others

    def of(self, chosen: np.ndarray, name: str) -> Group:
        """Return some of the cases as a group of their own."""
        patients = [one for one, there in zip(self.patients, chosen, strict=True) if there]
        return replace(
            self, name=name, probability=self.probability[chosen], label=self.label[chosen], patients=patients
        )


def group_of(name: str, found: Predictions, evidence: Evidence | None) -> Group:
    """Return the cases of a predictions.csv that have a class."""
    known = [i for i, label in enumerate(found.labels or []) if label is not None]
    labels = np.array([(found.labels or [])[i] for i in known], dtype=np.int64)
    patients = [(found.patients or found.cases)[i] for i in known]
    return Group(name, found.probabilities[known], labels, patients, evidence)


def scores(group: Group, classes: Sequence[str], positive: str | None, draws: int, seed: int) -> dict[str, Estimate]:
    """Return the figures of a group by their names, each with its 95% interval over patients.

    AUC, accuracy and Brier score as in metrics.json; intercept and slope of the positive of two classes, or of each
    class against the rest; the share of prediction sets that hold the true class, with Wilson's interval.
    """
    data = (group.probability, group.label)
    macro = classification_table(*data, classes)[-1]
    bounds = confidence_intervals(*data, group.patients, draws, seed)[-1]
    found: dict[str, Estimate] = {
        title: (np.nan if macro[key] is None else macro[key], bounds[key].bounds)
        for title, key in (("AUC", "auc"), ("accuracy", "accuracy"), ("Brier score (0 is best)", "brier"))
    }
    asked = [positive_index(classes, positive)] if len(classes) == 2 else range(len(classes))
    for k in asked:
        risk, there = group.probability[:, k], group.label == k
        for title, of in (("intercept (0)", calibration_intercept), ("slope (1)", calibration_slope)):
            estimate = with_interval(of, risk, there, group.patients, draws, seed)
            found[f"calibration {title} of {classes[k]}"] = estimate
    if group.evidence is not None:
        known = group.probability if group.for_sets is None else group.for_sets
        for level in LEVELS:
            inside = group.evidence.sets(known[None].astype(np.float64), level)
            share = float(inside[np.arange(len(group.label)), group.label].mean())
            found[f"sets of {level:.0%}: hold the true class"] = (
                share,
                wilson_interval(share, len(set(group.patients))),
            )
    return found


def record(found: dict[str, Estimate]) -> dict[str, Any]:
    """Return figures for a JSON file, without NaN."""
    return {
        name: {"value": value if np.isfinite(value) else None, "interval": None if bounds is None else list(bounds)}
        for name, (value, bounds) in found.items()
    }
