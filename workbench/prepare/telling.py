# SPDX-License-Identifier: Apache-2.0
"""How well clinical columns tell one class from all others: alone, by being filled in, in pairs, together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scripts.cases.clinical import Column
from scripts.cases.splits import Case, patient_of

BINS = 6  # a number is cut into this many groups of equal size to judge pairs; missing values are one more group
MOST_PAIRS = 5000
"""Pairs judged, over all classes: all pairs of 100 columns for two classes, in one or two seconds."""
CONFIRMED = 10  # the best of these get an AUC by cross-validation
FOLDS = 5
VALUES, FILLED = "its values", "whether it is filled"


@dataclass(frozen=True)
class Telling:
    """What columns tell about a class."""

    columns: tuple[str, ...]
    label: str  # the class, against all others
    auc: float  # 0.5 is chance
    cases: int  # number of cases it was computed from
    by: str = VALUES  # for a single column, what tells: `VALUES` or `FILLED`
    # effective number of patients of the class, and of others, among these cases; see `worth`
    patients: tuple[float, float] = (0.0, 0.0)

    def __str__(self) -> str:
        name = " + ".join(self.columns) + (f" ({self.by})" if self.by == FILLED else "")
        return f"{name} {self.auc:.2f}"


class Judged:
    """Clinical values of labelled cases as numbers: float64 [n, T], NaN where missing; categories by their index."""

    def __init__(self, cases: Sequence[Case], columns: Sequence[Column], label: str) -> None:
        self.names = [column["name"] for column in columns]
        self.is_number = [column["kind"] == "number" for column in columns]
        rows = [[_code(case.get("clinical", {}).get(column["name"]), column) for column in columns] for case in cases]
        self.values = np.array(rows, dtype=float).reshape(len(cases), len(columns))
        self.member = np.array([case["label"] == label for case in cases])
        self.patients = np.unique([patient_of(case) for case in cases], return_inverse=True)[1]
        self.label = label
        self.folds: list[tuple[np.ndarray, np.ndarray]] = []
        self.groups = np.stack([_groups(*column) for column in zip(self.values.T, self.is_number, strict=True)], axis=1)

    def alone(self, index: int, fewest: int) -> list[Telling]:
        """Return what one column tells by its values, in either direction, and by being filled in."""
        known = ~np.isnan(self.values[:, index])
        found = []
        if min(self.sides(known)) >= fewest:
            auc = shares_auc(self.groups[known, index], self.member[known], self.patients[known])
            if self.is_number[index]:
                ranked = auc_of(self.values[known, index], self.member[known])
                auc = max(auc, ranked, 1 - ranked)
            found.append(self._telling([index], max(auc, 0.5), known))
        if 0 < known.sum() < len(known):
            auc = auc_of(known, self.member)
            found.append(self._telling([index], max(auc, 1 - auc), np.full(len(known), True), FILLED))
        return found

    def sides(self, known: np.ndarray) -> tuple[float, float]:
        """Return the effective number of patients of the class, and of others, among the known cases."""
        return worth(self.patients[known & self.member]), worth(self.patients[known & ~self.member])

    def _telling(self, indices: Sequence[int], auc: float, known: np.ndarray, by: str = VALUES) -> Telling:
        names = tuple(self.names[index] for index in sorted(indices))
        return Telling(names, self.label, auc, int(known.sum()), by, self.sides(known))

    def pairs(self, indices: Sequence[int], most: int) -> list[Telling]:
        """Return the pairs that tell most, by cross-validation, the best one first.

        Candidates are chosen by `shares_auc`: the share of the class in the groups of each pair, leaving out one
        patient at a time.
        """
        every = list(combinations(indices, 2))[:most]
        width = self.groups.max(initial=0) + 1
        scores = [
            shares_auc(self.groups[:, a] * width + self.groups[:, b], self.member, self.patients) for a, b in every
        ]
        best = sorted(range(len(every)), key=lambda pair: -scores[pair])[:CONFIRMED]
        return sorted((self.together(every[pair]) for pair in best), key=lambda found: -found.auc)

    def fewest(self, pair: Telling, least: float) -> Telling:
        """Return the better column of a pair if it alone tells nearly as much by `together`, else the pair."""
        alone = [self.together([self.names.index(name)]) for name in pair.columns]
        best = max(alone, key=lambda one: one.auc)
        return best if best.auc > pair.auc - least else pair

    def together(self, indices: Sequence[int]) -> Telling:
        """Return what columns tell together, by a tree or a logistic regression cross-validated by patient.

        The better of the two counts: a tree finds steps and gaps, a regression sums.
        """
        from sklearn.model_selection import cross_val_predict

        self.folds = self.folds or self._folds()
        values = self.values[:, indices]
        aucs = []
        for model in (small_tree(), regression()):
            told = cross_val_predict(model, values, self.member, cv=self.folds, method="predict_proba")
            aucs.append(auc_of(told[:, 1], self.member))
        return self._telling(indices, max(aucs), np.full(len(self.member), True))

    def _folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return training and test cases of each fold; the cases of a patient stay together."""
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        rarest = min(len(np.unique(self.patients[self.member == side])) for side in (True, False))
        alone = len(np.unique(self.patients)) == len(self.patients)
        count = min(FOLDS, max(rarest, 2))
        if alone:  # the same folds would do, but this is much faster
            return list(StratifiedKFold(count, shuffle=True, random_state=0).split(self.values, self.member))
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        return list(grouped.split(self.values, self.member, self.patients))

    def used_by_a_tree(self, indices: Sequence[int], least: float = 0.1) -> list[int]:
        """Return the columns that a small tree fitted to all cases uses, by their share of its gain."""
        tree = small_tree().fit(self.values[:, indices], self.member)
        return [index for index, share in zip(indices, tree.feature_importances_, strict=True) if share >= least]


def small_tree() -> Any:
    """Return a tree with enough leaves for a sum of two grades, whose leaves hold more than single cases."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_leaf_nodes=12, min_samples_leaf=3, random_state=0)


def regression() -> Any:
    """Return a logistic regression on standardised values, with what is missing as a value of its own."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), LogisticRegression(max_iter=200))


def auc_of(scores: np.ndarray, member: np.ndarray) -> float:
    """Return the AUC of scores [n] for a class [n]."""
    from scipy.stats import rankdata

    inside = int(member.sum())
    above = rankdata(scores)[member].sum() - inside * (inside + 1) / 2
    return float(above / (inside * (len(member) - inside)))


def shares_auc(groups: np.ndarray, member: np.ndarray, patients: np.ndarray) -> float:
    r"""Return the AUC of the share of the class among the cases of *other* patients in a case's group.

    In a group of n cases with m of the class the score is (m - a) / (n - b), where b cases, a of them of the
    class, are the patient's own; without another patient in its group a case gets the share of the class in
    all cases. So groups of few patients prove nothing, and groups that always go with one class have AUC 1.
    Groups that tell nothing give less than 0.5, since leaving out a patient lowers the share of its own class.

    Args:
        groups: whole numbers from 0, [n].
        member: whether a case is of the class, [n].
        patients: whole numbers from 0, [n].
    """
    own = np.unique(groups * (patients.max() + 1) + patients, return_inverse=True)[1]
    count, members = (
        np.bincount(groups, weights)[groups] - np.bincount(own, weights)[own] for weights in (None, member)
    )
    share = np.where(count > 0, members / np.maximum(count, 1), member.mean())
    return auc_of(share.round(12), member)


def worth(patients: np.ndarray) -> float:
    r"""Return the effective number of patients with n_i cases each: (\Sum n_i)^2 / \Sum n_i^2.

    >>> worth(np.array([0, 1, 2])), worth(np.array([0, 0, 1, 1])), worth(np.array([]))
    (3.0, 2.0, 0.0)
    """
    counts = np.unique(patients, return_counts=True)[1]
    return float(counts.sum() ** 2 / max((counts**2).sum(), 1))


def chance_level(members: float, others: float, looks: int, level: float = 0.01) -> float:
    r"""Return the AUC that chance exceeds in a share `level` of all datasets, corrected for the number of looks.

    .. math:: \frac{1}{2} + z \sqrt{\frac{a + b + 1}{12\,a\,b}}

    with a patients of the class and b others: the Mann-Whitney statistic under the null hypothesis, z with
    Bonferroni's correction for the number of looks. With few patients this formula exceeds 1, although only 2 of
    their :math:`\binom{a + b}{a}` orders separate the classes: if these are rare enough, it is just below 1.

    >>> round(chance_level(50, 50, 2), 3), round(chance_level(10, 10, 1000), 3)
    (0.663, 1.084)
    >>> chance_level(6, 18, 50) < 1 < chance_level(5, 5, 50)
    True
    """
    from scipy.stats import norm

    spread = np.sqrt((members + others + 1) / (12 * members * others))
    found = float(0.5 + norm.isf(level / (2 * looks)) * spread)
    orders = math.comb(int(members + others), int(members))
    return min(found, 1 - 1e-9) if orders > 2 * looks / level else found


def _code(value: float | str | None, column: Column) -> float:
    if value is None:
        return np.nan
    return float(value) if column["kind"] == "number" else float(column["values"].index(value))


def _groups(values: np.ndarray, is_number: bool) -> np.ndarray:
    """Return the group of each case: its category, or its place between quantiles; 0 is missing."""
    known = ~np.isnan(values)
    different = np.unique(values[known])
    if is_number and len(different) > BINS:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        place = np.searchsorted(edges, values, side="right")
    else:
        place = np.searchsorted(different, values)
    return np.where(known, place + 1, 0)
