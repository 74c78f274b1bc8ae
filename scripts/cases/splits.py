# SPDX-License-Identifier: Apache-2.0
"""Splits into training, validation and test: stratified by class and site, grouped by patient, seeded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Case = dict[str, Any]  # an entry of dataset.json with absolute paths
Splits = Mapping[str, Sequence[Case]]
SPLITS = ("training", "validation", "test")
LABELLED = ("training", "validation", "calibration", "test")  # calibration, for prediction sets, may be absent
SMALL = 60  # with fewer patients, the test share is rounded up, and a single test split says little


def patient_of(case: Case) -> str:
    """Return the patient of an entry of dataset.json; a case without one is its own patient."""
    return case.get("patient") or case["case"]


def everyone(splits: Splits) -> list[Case]:
    """Return the cases of all splits, split by split."""
    return [case for cases in splits.values() for case in cases]


def patients_known(cases: Sequence[Case]) -> bool:
    """Return whether any case names a patient other than itself."""
    return any(patient_of(case) != case["case"] for case in cases)


def assign_splits(
    cases: Sequence[Case], fractions: Sequence[float], seed: int, calibration: float | None = None
) -> dict[str, list[Case]]:
    """Return split -> cases: unlabelled cases apart, given splits kept, all others drawn from the seed.

    Cases without a given split are distributed among the splits to which no case is assigned.

    Args:
        fractions: shares of training, validation and test.
        calibration: share of the patients set apart from these for prediction sets; where the source gives every
            case a split, of the training patients.

    Raises:
        ValueError: invalid fractions, cases without a split although every split is given, or too small classes.
    """
    if isinstance(fractions, str) or len(fractions) != len(SPLITS):
        raise ValueError(f"fractions must be three numbers for {', '.join(SPLITS)}, found {fractions!r}")
    labelled = [case for case in cases if "label" in case]
    fixed = {case["split"] for case in labelled if "split" in case}
    open_splits = {split: share for split, share in zip(SPLITS, fractions, strict=True) if split not in fixed}
    rest = [case for case in labelled if "split" not in case]
    if rest and not open_splits:
        raise ValueError(
            f"case {rest[0]['case']} must have a split like the others, found none ({len(rest)} such cases); "
            "fill the 'split' column, or leave it out to draw the splits"
        )
    if calibration is not None and "calibration" not in fixed:
        if not rest:
            cases = [_open(case) if "label" in case and case["split"] == "training" else case for case in cases]
            rest, open_splits = [case for case in cases if "label" in case and "split" not in case], {"training": 1.0}
        whole = sum(open_splits.values())
        open_splits = {split: share / whole * (1 - calibration) for split, share in open_splits.items()}
        open_splits["calibration"] = calibration
    patients = [patient_of(case) for case in rest]
    sites = [case.get("site") for case in rest]
    labels = [case["label"] for case in rest]
    drawn = split_by_patient(labels, patients, open_splits, seed, sites) if rest else []
    splits: dict[str, list[Case]] = {split: [] for split in (*LABELLED, "unlabelled")}
    chosen = iter(drawn)
    for case in cases:
        split = case.get("split") or next(chosen) if "label" in case else "unlabelled"
        splits[split].append(case)
    return splits if splits["calibration"] else {name: found for name, found in splits.items() if name != "calibration"}


def _open(case: Case) -> Case:
    return {key: value for key, value in case.items() if key != "split"}


def assign_outlined(cases: Sequence[Case], fractions: Sequence[float], seed: int) -> dict[str, list[Case]]:
    """Return split -> cases of a dataset without classes: as `assign_splits`, those with a mask being one class.

    Cases without a mask are unlabelled.
    """
    marked = [case | {"label": "cases with a mask"} if case.get("roi") else case for case in cases]
    return without_labels(assign_splits(marked, fractions, seed))


def without_labels(splits: Splits) -> dict[str, list[Case]]:
    """Return the splits with cases that have no label."""
    return {
        split: [{key: value for key, value in case.items() if key != "label"} for case in cases]
        for split, cases in splits.items()
    }


def split_by_patient(
    labels: Sequence[str],
    patients: Sequence[str],
    fractions: Mapping[str, float],
    seed: int,
    sites: Sequence[str | None] | None = None,
) -> list[str]:
    r"""Assign each case to a split, such that each patient is in one split and each class in every split.

    The patients of each class are shuffled with the seed and distributed by the largest remainder method:
    split s gets :math:`\lfloor f_s n \rfloor` of the class's n patients or one more, and at least one.
    With fewer than 60 patients in all, the test split gets :math:`\lceil f_s n \rceil` of each class and the
    others share the rest, because test metrics suffer most from a small number of cases.
    A patient with cases of several classes counts towards the rarest. Within a class, the patients of each
    site are distributed in the same proportions, as far as whole patients and the class totals allow.
    The result does not depend on the order of the cases.

    Args:
        fractions: split -> its share, above 0; scaled to sum to 1.
        sites: site of each case, None if unknown; ignored if there is only one site.

    Raises:
        ValueError: a share not above 0; a class with fewer patients than splits, or absent from a split.

    >>> labels, patients = ["low", "low", "low", "high", "high", "high"], ["a", "b", "c", "d", "e", "f"]
    >>> split_by_patient(labels, patients, {"training": 0.6, "test": 0.4}, seed=0)
    ['test', 'test', 'training', 'test', 'test', 'training']
    """
    if len(labels) != len(patients):
        raise ValueError(f"there must be one patient per label, found {len(patients)} for {len(labels)}")
    for split, share in fractions.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < float("inf"):
            raise ValueError(f"the fraction of split {split!r} must be above 0, found {share!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, found {seed!r}")

    frequency = Counter(labels)
    stratum: dict[str, str] = {}
    for patient, label in sorted(zip(patients, labels, strict=True)):
        known = stratum.setdefault(patient, label)
        stratum[patient] = min(known, label, key=lambda name: (frequency[name], name))

    home = _homes(patients, sites)
    favoured = "test" if len(stratum) < SMALL else ""
    rng = np.random.default_rng(seed)
    split_of: dict[str, str] = {}
    for label in sorted(frequency):
        everyone = {patient for patient, found in zip(patients, labels, strict=True) if found == label}
        if len(everyone) < len(fractions):
            raise ValueError(
                f"class {label!r} must have at least one patient for each of the splits "
                f"[{', '.join(fractions)}], found {len(everyone)}; add patients, merge the class with "
                "another, or remove its cases"
            )
        members = [patient for patient in sorted(stratum) if stratum[patient] == label]
        drawn = [members[index] for index in rng.permutation(len(members))]
        counts = _shares(len(members), fractions, favoured)
        if len(set(home.values())) > 1:
            drawn = _in_turn(drawn, home, counts)
        start = 0
        for split, count in counts.items():
            split_of.update(dict.fromkeys(drawn[start : start + count], split))
            start += count

    result = [split_of[patient] for patient in patients]
    for split in fractions:
        absent = set(labels) - {label for label, chosen in zip(labels, result, strict=True) if chosen == split}
        if absent:
            raise ValueError(
                f"class {min(absent)!r} is absent from the {split} split, because its patients also have "
                "cases of other classes; try another seed, or give the splits yourself in a 'split' column"
            )
    return result


def _homes(patients: Sequence[str], sites: Sequence[str | None] | None) -> dict[str, str]:
    """Return the site of each patient: the alphabetically first of its cases, empty if none is known."""
    home: dict[str, str] = {}
    for patient, site in zip(patients, sites if sites is not None else [None] * len(patients), strict=True):
        home[patient] = min(filter(None, (home.get(patient), site)), default="")
    return home


def _in_turn(drawn: Sequence[str], home: Mapping[str, str], counts: Mapping[str, int]) -> list[str]:
    """Return the patients in the order of the splits, such that each split gets its share of every site.

    The sites are processed one by one, in the order drawn; each patient goes to the split that is furthest
    behind its share of the patients so far.
    """
    order = list(dict.fromkeys(home[patient] for patient in drawn))
    dealt: dict[str, list[str]] = {split: [] for split in counts}
    for number, patient in enumerate(sorted(drawn, key=lambda patient: order.index(home[patient])), start=1):
        behind = {
            split: number * count / len(drawn) - len(dealt[split])
            for split, count in counts.items()
            if len(dealt[split]) < count
        }
        dealt[max(behind, key=lambda split: behind[split])].append(patient)
    return [patient for members in dealt.values() for patient in members]


def _shares(count: int, fractions: Mapping[str, float], favoured: str = "") -> dict[str, int]:
    """Distribute `count` patients by the largest remainder method, at least one per split if there are enough.

    Args:
        favoured: split whose number is rounded up before the others share the rest.

    >>> _shares(8, {"training": 0.6, "validation": 0.2, "test": 0.2}, "test")
    {'training': 5, 'validation': 1, 'test': 2}
    """
    total = sum(fractions.values())
    exact = {split: count * share / total for split, share in fractions.items()}
    shares = {split: int(value + 1e-9) for split, value in exact.items()}
    if favoured in exact and len(exact) > 1:
        first = min(count, math.ceil(exact[favoured] - 1e-9))
        others = {split: share for split, share in fractions.items() if split != favoured}
        left, whole = count - first, sum(others.values())
        # rounded, so that equal remainders are exact ties, which the first split wins
        rest = {split: round(left * share / whole, 9) for split, share in others.items()}
        exact = rest | {favoured: float(first)}
        shares = {split: int(value + 1e-9) for split, value in rest.items()}
        shares = {split: shares.get(split, first) for split in fractions}
    by_remainder = sorted(exact, key=lambda split: shares[split] - exact[split])
    for split in by_remainder[: count - sum(shares.values())]:
        shares[split] += 1
    for split in shares:
        if shares[split] == 0 and count >= len(shares):
            shares[max(shares, key=lambda name: shares[name])] -= 1
            shares[split] = 1
    return shares
