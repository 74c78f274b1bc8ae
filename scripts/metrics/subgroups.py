# SPDX-License-Identifier: Apache-2.0
r"""Metrics in groups of cases (sites, sexes, bands of age), and whether their largest gap is more than chance.

The gap of a metric is its highest value among the groups minus its lowest. Groups that are too small for the metric,
see `FEWEST`, stand apart: their values would be accidents, and each would widen the gap.

**Interval.** The two groups are named after looking, so that an interval of their difference alone would exclude 0 too
often. With the values :math:`A_g` of G groups and their intervals :math:`[l_g, u_g]`, the difference of i and j lies in

.. math:: \left[A_i - A_j - t \sqrt{(A_i - l_i)^2 + (u_j - A_j)^2},\;
          A_i - A_j + t \sqrt{(u_i - A_i)^2 + (A_j - l_j)^2}\right], \quad t = \frac{q_{0.95}(G)}{1.96 \sqrt 2}

for all pairs at once, with the quantile q of the studentized range (Tukey and Kramer; MOVER: Zou and Donner, Statistics
in Medicine 27, 2008). The largest gap then lies between the highest lower and the highest upper bound of any pair. A
bootstrap would call a group certain in which all cases are right.

**p-value.** Of R redistributions of the patients among the groups, within patients of the same classes so that every
group keeps its number of each class, the share whose gap is at least as large: (1 + number) / (1 + R). A gap that
follows from other class frequencies alone counts as none. It is exact where the probabilities of a class are
distributed alike in all groups (Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, section 3.7);
benchmarks/site_gap.py simulates its level also where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import CHUNK, LEVEL, number_patients, wilson_interval
from scripts.metrics.paired import add_holm
from scripts.metrics.scores import class_scores, predicted_class, ratio, weighted_auc

FEWEST = 5
"""Patients that a group needs of each class for its AUC, and of the class for sensitivity or specificity; for its
accuracy twice as many of all. Even 4 of 4 right have a 95% interval that begins at 0.51."""

Values = Callable[[np.ndarray], np.ndarray]  # weights [R, n] -> the metric under each weighting, [R]


@dataclass(frozen=True)
class Measure:
    """A metric of a group: how to compute it, and which cases it is about."""

    values: Values
    about: np.ndarray  # [n] bool, the cases that it counts
    needed: Sequence[tuple[str, np.ndarray, int]]  # of whom (in words), which cases [n], and how many patients at least
    right: np.ndarray | None = None  # [n] bool, whose share it is; None for the AUC


def measures(
    probability: np.ndarray, label: np.ndarray, classes: Sequence[str], threshold: float | None, positive: int
) -> dict[str, Measure]:
    """Return the metrics that are compared: AUC and accuracy; with two classes also sensitivity and specificity.

    Args:
        probability: [n, K].
        label: [n].
        threshold: with two classes, from which probability of the positive one sensitivity and specificity count a case
            as called positive; None: the class with the highest probability.
        positive: index of the positive class.
    """
    score, everyone = class_scores(probability), np.ones(len(label), dtype=bool)
    chosen = [1] if len(classes) == 2 else [k for k in range(len(classes)) if (label == k).any()]

    def auc(weights: np.ndarray) -> np.ndarray:
        return np.mean([weighted_auc(score[:, k], label == k, weights) for k in chosen], axis=0)

    def share(right: np.ndarray, about: np.ndarray) -> Values:
        return lambda weights: ratio(weights @ (right & about), weights @ about)

    each = [(f"class {name}", label == k, FEWEST) for k, name in enumerate(classes)]
    right = predicted_class(probability) == label
    found = {
        "auc": Measure(auc, everyone, each if len(classes) == 2 else [each[k] for k in chosen]),
        "accuracy": Measure(share(right, everyone), everyone, [("all classes", everyone, 2 * FEWEST)], right),
    }
    if len(classes) == 2:
        called = predicted_class(probability, threshold, positive) == label
        for name, k in (("sensitivity", positive), ("specificity", 1 - positive)):
            found[name] = Measure(share(called, label == k), label == k, [each[k]], called)
    return found


@dataclass(frozen=True)
class Labelled:
    """The predictions that are compared.

    Attributes:
        probability, label: [n, K] and [n].
        patients: the patient of each case.
        draws: redistributions; 0 for neither intervals nor p-values.
    """

    probability: np.ndarray
    label: np.ndarray
    classes: Sequence[str]
    patients: Sequence[str]
    draws: int
    seed: int
    threshold: float | None = None
    positive: int = 1


def subgroup_scores(found: Labelled, by: str, group: Sequence[str], order: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of each group, and their largest gaps.

    Args:
        by: name of the column.
        group: [n], the group of each case.
        order: the groups.

    Returns:
        by; `all`: the row of all cases; `groups`: per group its name, n, n_patients, n_of_class, each metric with
        <metric>_interval (DeLong's for the AUC; for shares Wilson's, as of patients all of whose cases are right or
        wrong together), None where the group is too small, and `too_few`: metric -> why; `gaps`: see `_gap`.
    """
    names, patient = np.array(group, dtype=object), number_patients(found.patients, len(found.label))
    compared = measures(found.probability, found.label, found.classes, found.threshold, found.positive)

    def scores(name: str, inside: np.ndarray) -> dict[str, Any]:
        row: dict[str, Any] = {"group": name, "n": int(inside.sum()), "n_patients": len(np.unique(patient[inside]))}
        row["n_of_class"] = {one: int((found.label[inside] == k).sum()) for k, one in enumerate(found.classes)}
        too_few: dict[str, str] = {}
        for metric, measure in compared.items():
            lacking = [
                f"{count} of {least} patients of {whom}"
                for whom, cases, least in measure.needed
                if (count := len(np.unique(patient[inside & cases]))) < least
            ]
            row |= {metric: None, f"{metric}_interval": None}
            if lacking:
                too_few[metric] = ", ".join(lacking)
                continue
            row[metric] = float(measure.values(inside[None].astype(np.float64))[0])
            row[f"{metric}_interval"] = _interval(found, measure, inside, patient) if found.draws > 0 else None
        return row | {"too_few": too_few}

    rows = [scores(name, names == name) for name in order]
    gaps = [_gap(found, metric, measure, names, rows, patient) for metric, measure in compared.items()]
    everyone = scores("all", np.ones(len(names), dtype=bool))
    return {"by": by, "all": everyone, "groups": rows, "gaps": [gap for gap in gaps if gap is not None]}


def _interval(found: Labelled, measure: Measure, inside: np.ndarray, patient: np.ndarray) -> list[float] | None:
    """Return the 95% interval of a metric of one group."""
    if measure.right is None:
        data = (found.probability[inside], found.label[inside], patient[inside])
        return auc_intervals(*data, found.seed)[-1].bounds
    chosen = inside & measure.about
    each = np.unique(patient[chosen], return_counts=True)[1]
    return wilson_interval(float(measure.right[chosen].mean()), each.sum() ** 2 / (each**2).sum())


def _gap(
    found: Labelled,
    metric: str,
    measure: Measure,
    names: np.ndarray,
    rows: Sequence[Mapping[str, Any]],
    patient: np.ndarray,
) -> dict[str, Any] | None:
    """Return the largest gap of a metric: its groups, interval and p-value; None without two groups large enough."""
    large = {row["group"]: row[metric] for row in rows if row[metric] is not None}
    if len(large) < 2:
        return None
    value = np.array(list(large.values()))
    number = np.full(len(names), -1)
    for g, name in enumerate(large):
        number[names == name] = g
    gap = float(value.max() - value.min())
    row: dict[str, Any] = {"metric": metric, "gap": gap, "gap_interval": None, "p_value": None, "p_holm": None}
    row |= {"highest": list(large)[int(value.argmax())], "lowest": list(large)[int(value.argmin())]}
    row |= {"n_groups": len(large), "n": int((number >= 0).sum())}
    if found.draws > 0:
        bounds = [row[f"{metric}_interval"] for row in rows if row[metric] is not None]
        if all(bounds):
            row["gap_interval"] = largest_difference(value, *np.array(bounds).T)
        as_large = 0
        for drawn in redistributed(number, found.label, patient, found.draws, found.seed):
            values = np.stack([measure.values((drawn == g).astype(np.float64)) for g in range(len(large))], axis=1)
            as_large += int((values.max(axis=1) - values.min(axis=1) >= gap - 1e-12).sum())
        row["p_value"] = (1 + as_large) / (1 + found.draws)
    return row


def largest_difference(value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> list[float]:
    """Return the 95% interval of the largest difference between G groups, from their values and bounds [G].

    >>> [round(bound, 3) for bound in largest_difference(*np.array([[0.9, 0.6], [0.8, 0.5], [1, 0.7]]))]
    [0.159, 0.441]
    """
    t = _critical(len(value))
    difference = value[:, None] - value
    down = np.hypot((value - lower)[:, None], upper - value)
    up = np.hypot((upper - value)[:, None], value - lower)
    return [float(max(0.0, (difference - t * down).max())), float(min(1.0, (difference + t * up).max()))]


@cache
def _critical(groups: int) -> float:
    """Return the factor by which intervals of single differences widen for all pairs of G groups to hold at once."""
    from scipy.stats import norm, studentized_range

    return float(studentized_range.ppf(LEVEL, groups, np.inf) / np.sqrt(2) / norm.ppf((1 + LEVEL) / 2))


def compare_groups(
    found: Labelled, groupings: Sequence[tuple[str, Sequence[str], Sequence[str]]]
) -> list[dict[str, Any]]:
    """Return `subgroup_scores` of each column (`scripts.cases.groups.Grouping`), Holm-corrected over all tests."""
    scores = [subgroup_scores(found, *grouping) for grouping in groupings]
    add_holm([gap for one in scores for gap in one["gaps"]])
    return scores


def redistributed(
    number: np.ndarray, label: np.ndarray, patient: np.ndarray, draws: int, seed: int
) -> Iterator[np.ndarray]:
    """Redistribute patients among groups, within patients whose cases have the same classes.

    The cases of a patient in one group stay together; a patient with cases in several groups counts as one in each.

    Args:
        number: [n], group of each case; cases at -1 stay there.
        label, patient: [n].
        draws: number of redistributions, yielded in blocks [some of the draws, n].
    """
    blocks = np.unique(np.stack([patient, number], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    count = int(blocks.max()) + 1
    first = np.unique(blocks, return_index=True)[1]
    group = number[first]
    has = np.zeros((count, int(label.max()) + 1), dtype=bool)
    has[blocks, label] = True
    stratum = np.unique(np.column_stack([has, group < 0]), axis=0, return_inverse=True)[1].reshape(-1)
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    rng = np.random.default_rng([seed, draws, count])
    step = max(1, CHUNK // len(number))
    for start in range(0, draws, step):
        drawn = np.tile(group, (min(step, draws - start), 1))
        for one in members:
            drawn[:, one] = rng.permuted(drawn[:, one], axis=1)
        yield drawn[:, blocks]
