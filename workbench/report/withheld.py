# SPDX-License-Identifier: Apache-2.0
"""AUC and accuracy of predictions when phases are withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from scripts.files.atomic import write_table
from scripts.metrics.delong import auc_intervals
from scripts.metrics.interval import number_patients, patient_weights, percentile_interval
from scripts.metrics.registry import weighted_scores
from scripts.metrics.rows import classification_table

MOST_SUBSETS = 20  # Maximum number of subsets of one size; if there are more, this many are drawn
MOST_PHASES = 8  # With more phases, only one at a time is withheld

MEAN = "(mean)"
JOIN = " + "

Subset = tuple[int, ...]


@dataclass(frozen=True)
class WithheldRow:
    """One line of missing_phases.csv.

    Attributes:
        auc, accuracy: macro AUC, and share of correctly predicted cases; None: undefined.
        auc_lower, auc_upper, accuracy_lower, accuracy_upper: 95% intervals by patient; None: no interval.
    """

    missing: int  # number of phases withheld from every case
    withheld: str  # their names joined by " + ", "" for none, or "(mean)" over all subsets of this size
    subsets: int  # number of subsets behind the row
    n: int  # cases that still have a phase; for a mean, the fewest
    auc: float | None
    auc_lower: float | None
    auc_upper: float | None
    accuracy: float | None
    accuracy_lower: float | None
    accuracy_upper: float | None


Scored = tuple[WithheldRow, np.ndarray, int]


def withheld_subsets(num_phases: int, seed: int = 0, most: int = MOST_SUBSETS) -> list[Subset]:
    """Return which phases to withhold: all subsets of 0, 1, ..., P - 1 phases, but at most `most` drawn per size.

    With more than `MOST_PHASES` phases, only none and each one alone, so that the passes do not grow too many.

    >>> withheld_subsets(3)
    [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    >>> len(withheld_subsets(8))  # 1 + 8 + 5 times 20 + 8
    117
    >>> len(withheld_subsets(64))
    65
    """
    if num_phases > MOST_PHASES:
        return [(), *((phase,) for phase in range(num_phases))]
    rng = np.random.default_rng(seed)
    found: list[Subset] = []
    for size in range(num_phases):
        if comb(num_phases, size) <= most:
            found += combinations(range(num_phases), size)
            continue
        drawn: set[Subset] = set()
        while len(drawn) < most:
            drawn.add(tuple(sorted(rng.choice(num_phases, size, replace=False).tolist())))
        found += sorted(drawn)
    return found


def withheld_rows(
    probabilities: Mapping[Subset, np.ndarray],
    label: np.ndarray,
    present: np.ndarray,
    phases: Sequence[str],
    classes: Sequence[str],
    patients: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    possible: np.ndarray | None = None,
) -> list[WithheldRow]:
    """Compute AUC and accuracy for each subset of withheld phases, and their mean over those of one size.

    A case without any phase left is excluded; if nothing is withheld all cases count, and the row equals that of
    metrics.json. Intervals are computed as there: DeLong's for the AUC of one subset, the bootstrap by patient
    for the accuracy, and for the means, where each draw takes the same patients for all subsets.

    Args:
        probabilities: probabilities of all cases, by which phases were withheld.
        present: which phases each case has.
        patients: the patient of each case; without it every case counts as one patient.
        possible: whether each case can be prepared without each subset; None: all can.

    Shape:
        probabilities: [n, K]. label: [n]. present: [n, P] bool. possible: [n, S] bool.

    Returns:
        One row per subset, in their order, and after several subsets of one size their mean.
    """
    patient = number_patients(patients, len(label))
    weights = np.concatenate(list(patient_weights(patient, draws, seed)))
    rows: list[WithheldRow] = []
    for size in sorted({len(subset) for subset in probabilities}):
        group: list[Scored] = []
        for i, (subset, probability) in enumerate(probabilities.items()):
            if len(subset) != size:
                continue
            left = np.delete(present, subset, axis=1).any(axis=1) if subset else np.full(len(label), True)
            if possible is not None:
                left &= possible[:, i]
            name = JOIN.join(phases[p] for p in subset)
            data = probability[left], label[left], patient[left]
            group.append(scored_row(name, size, classes, seed, *data, weights[:, left]))
        rows += [row for row, _, _ in group]
        if len(group) > 1:
            rows.append(_mean(group, seed))
    return rows


def scored_row(
    name: str,
    size: int,
    classes: Sequence[str],
    seed: int,
    probability: np.ndarray,
    label: np.ndarray,
    patient: np.ndarray,
    weights: np.ndarray,
) -> Scored:
    """Return the row of one subset, the bootstrap draws [2, draws] of AUC and accuracy, and the number of patients."""
    if len(label) == 0:
        return WithheldRow(size, name, 1, 0, *[None] * 6), np.full((2, len(weights)), np.nan), 0
    macro = classification_table(probability, label, classes)[-1]
    scores = weighted_scores(probability, label, weights)
    drawn = np.stack([scores["auc"][:, -1], scores["accuracy"][:, -1]])
    patients = len(np.unique(patient))
    auc = auc_intervals(probability, label, patient, seed)[-1]
    accuracy = percentile_interval(drawn[1], patients, seed)
    values = macro["auc"], auc.lower, auc.upper, macro["accuracy"], accuracy.lower, accuracy.upper
    return WithheldRow(size, name, 1, len(label), *values), drawn, patients


def _mean(group: Sequence[Scored], seed: int) -> WithheldRow:
    """Return the mean row over the subsets of one size whose AUC is defined, or over all if none is."""
    defined = [scored for scored in group if scored[0].auc is not None] or list(group)
    rows = [row for row, _, _ in defined]
    patients = min(number for _, _, number in defined)
    values: list[float | None] = []
    for metric, draws in zip(("auc", "accuracy"), np.mean([drawn for _, drawn, _ in defined], axis=0), strict=True):
        known = [value for row in rows if (value := getattr(row, metric)) is not None]
        interval = percentile_interval(draws, patients, seed)
        values += [float(np.mean(known)) if known else None, interval.lower, interval.upper]
    return WithheldRow(rows[0].missing, MEAN, len(rows), min(row.n for row in rows), *values)


def curve(rows: Sequence[WithheldRow]) -> list[WithheldRow]:
    """Return one row per number of missing phases: the mean, or the row of the only subset."""
    last = {row.missing: row for row in rows}
    return [last[missing] for missing in sorted(last)]


def write_withheld(path: Path, rows: Sequence[WithheldRow]) -> Path:
    """Write one line per row, with empty cells for undefined values."""
    names = [field.name for field in fields(WithheldRow)]
    return write_table(path, names, (asdict(row).values() for row in rows))
