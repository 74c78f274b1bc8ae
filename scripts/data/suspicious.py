"""Clinical columns that look like the answer: written down after the diagnosis, or another name for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scripts.data.clinical import Column
from scripts.data.layouts.found import Found

LEAST_AUC = 0.98
FEWEST_CASES = 20
"""Labelled cases that a column must be known for before it is judged; fewer separate by chance."""
FEWEST_PER_CLASS = 5
"""Cases of a class, and of all others together, before the class is judged."""


@dataclass(frozen=True)
class Suspicion:
    """A column that nearly gives one class away.

    Attributes:
        column: its name.
        label: the class.
        auc: of this column alone, the class against all others.
        cases: number of cases it was computed from.
        by: what gives the class away: "its values", or "whether it is filled".
    """

    column: str
    label: str
    auc: float
    cases: int
    by: str

    def __str__(self) -> str:
        return (
            f"clinical column {self.column!r} alone tells the class {self.label!r} by {self.by} (AUC "
            f"{self.auc:.3f}, {self.cases} cases)"
        )


def without_suspicious(found: Found, keep: bool = False) -> Found:
    """Return what a layout found without the columns that look like the answer, with a warning for each.

    Args:
        found: cases and columns.
        keep: whether to warn only.
    """
    suspicions = suspicious_columns(found.cases, found.clinical)
    done = "kept" if keep else "left out; if it is known before the diagnosis, pass --keep_suspicious True"
    notes = [*found.notes, *(f"warning: {suspicion}: {done}" for suspicion in suspicions)]
    gone = set() if keep else {suspicion.column for suspicion in suspicions}
    cases = [
        case | {"clinical": {name: value for name, value in case["clinical"].items() if name not in gone}}
        if case.get("clinical")
        else case
        for case in found.cases
    ]
    columns = [column for column in found.clinical if column["name"] not in gone]
    return replace(found, cases=cases, clinical=columns, notes=notes)


def suspicious_columns(cases: Sequence[dict[str, Any]], columns: Sequence[Column]) -> list[Suspicion]:
    """Return the columns that tell a class with an AUC of 0.98 or more, each with its best-told class.

    A number is its own score, in either direction. The score of a category is the share of the class among
    the *other* cases of this category, so that rare categories prove nothing; a category that always goes
    with one class has the AUC 1. That a value is missing is judged in the same way.

    Args:
        cases: entries of dataset.json; those without a label do not count.
        columns: declarations of the clinical columns.

    >>> cases = [{"label": "ill" if n % 2 else "well", "clinical": {"age": n, "pathology": n % 2}}
    ...          for n in range(40)]
    >>> columns = [{"name": "age", "kind": "number"}, {"name": "pathology", "kind": "number"}]
    >>> print(suspicious_columns(cases, columns)[0])
    clinical column 'pathology' alone tells the class 'ill' by its values (AUC 1.000, 40 cases)
    """
    labelled = [case for case in cases if "label" in case]
    found = []
    for column in columns:
        values = [case.get("clinical", {}).get(column["name"]) for case in labelled]
        labels = np.array([case["label"] for case in labelled])
        filled = np.array([value is not None for value in values])
        known = [value for value in values if value is not None]
        suspicions = [
            *_judge(column, known, labels[filled], "its values"),
            *_judge({**column, "kind": "category"}, filled.tolist(), labels, "whether it is filled"),
        ]
        if suspicions:
            found.append(max(suspicions, key=lambda suspicion: suspicion.auc))
    return found


def _judge(column: Column, values: Sequence[Any], labels: np.ndarray, by: str) -> list[Suspicion]:
    from sklearn.metrics import roc_auc_score

    if len(values) < FEWEST_CASES:
        return []
    found = []
    for label in sorted(set(labels)):
        member = labels == label
        if min(member.sum(), (~member).sum()) < FEWEST_PER_CLASS:
            continue
        scores = np.array(values, dtype=float) if column["kind"] == "number" else _shares(values, member)
        auc = float(roc_auc_score(member, scores))
        auc = max(auc, 1 - auc) if column["kind"] == "number" else auc
        if auc >= LEAST_AUC:
            found.append(Suspicion(column["name"], str(label), auc, len(values), by))
    return found


def _shares(values: Sequence[Any], member: np.ndarray) -> np.ndarray:
    """Return, for each case, the share of the class among the other cases of its category."""
    _, category = np.unique(np.array(values, dtype=str), return_inverse=True)
    members, everyone = np.bincount(category, weights=member)[category], np.bincount(category)[category]
    alone = everyone == 1
    return np.where(alone, member.mean(), (members - member) / np.maximum(everyone - 1, 1))
