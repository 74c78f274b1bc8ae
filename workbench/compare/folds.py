# SPDX-License-Identifier: Apache-2.0
"""Folds of a repeated, nested cross-validation: stratified by class, grouped by patient."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scripts.cases.splits import split_by_patient


@dataclass(frozen=True)
class Fold:
    """One partition of the cases, as lists of their indices.

    Attributes:
        training, validation: cases outside the test part, on which the weights are fitted and by which training
            is steered.
    """

    repeat: int  # from 1; each repeat draws new folds
    fold: int  # from 1; number of the outer part that is the test part
    training: list[int]
    validation: list[int]
    test: list[int]  # the outer part, used once
    site: str | None = None  # the site left out, if sites are the outer parts

    @property
    def number(self) -> str:
        """Repeat and fold as text, e.g. r1_f3."""
        return f"r{self.repeat}_f{self.fold}"

    @property
    def name(self) -> str:
        """Name of its files, e.g. r1_f3, or r1_f3_north if a site is left out."""
        return self.number if self.site is None else f"{self.number}_{in_file_names(self.site)}".rstrip("_")


def in_file_names(site: str) -> str:
    """Return a site's name in a form for file names: letters, digits, hyphens, at most 40 characters.

    >>> in_file_names("St. Mary's / North")
    'St-Mary-s-North'
    """
    return re.sub(r"[\W_]+", "-", site).strip("-")[:40]


def make_folds(
    labels: Sequence[str],
    patients: Sequence[str],
    folds: int,
    repeats: int,
    validation_fraction: float,
    seed: int,
    sites: Sequence[str | None] | None = None,
) -> list[Fold]:
    """Divide the cases into test, validation and training, once for each repeat and fold.

    The outer parts are those of scikit-learn's StratifiedGroupKFold, or with `sites` of LeaveOneGroupOut; all
    cases of a patient are in one part. From the rest, `split_by_patient` draws the validation cases. The result
    depends on seed, repeat and fold alone.

    Args:
        labels, patients: class name and patient of each case.
        folds: number of outer parts; only checked if `sites` are given.
        repeats: how often the folds are drawn; with `sites` only the validation cases are drawn again.
        validation_fraction: share of the outer training part that steers training, in (0, 1).
        seed: any whole number from 0.
        sites: site of each case, to leave one site out at a time.

    Raises:
        ValueError: a class with fewer patients than folds, or absent from a part; a patient at two sites, a case
            without a site, a single site; numbers that do not define a cross-validation.

    >>> folds = make_folds(["low", "high"] * 6, [f"p{i}" for i in range(12)], 3, 1, 0.25, seed=0)
    >>> [len(fold.test) for fold in folds], sorted(case for fold in folds for case in fold.test)
    ([4, 4, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    """
    _check_numbers(folds, repeats, validation_fraction, seed)
    shares = {"training": 1 - validation_fraction, "validation": validation_fraction}
    found: list[Fold] = []
    for repeat in range(1, repeats + 1):
        drawn = _by_class(labels, patients, folds, part_seed(seed, repeat, 0))
        parts = drawn if sites is None else _by_site(labels, patients, sites)
        for fold, (rest, test) in enumerate(parts, start=1):
            inner = [labels[case] for case in rest], [patients[case] for case in rest]
            try:
                splits = split_by_patient(*inner, shares, part_seed(seed, repeat, fold))
            except ValueError as error:
                raise ValueError(f"repeat {repeat}, fold {fold}, outside of the test part: {error}") from None
            training, validation = (
                [case for case, split in zip(rest, splits, strict=True) if split == name]
                for name in ("training", "validation")
            )
            site = None if sites is None else sites[test[0]]
            found.append(Fold(repeat, fold, training, validation, test, site))
    return found


def _check_numbers(folds: int, repeats: int, validation_fraction: float, seed: int) -> None:
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, found {value!r}")
    if not isinstance(validation_fraction, int | float) or not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must lie between 0 and 1, found {validation_fraction!r}")


def part_seed(seed: int, repeat: int, *folds: int) -> int:
    """Return a separate 32-bit seed for each part, or pair of parts, mixed so that neighbouring seeds share none."""
    return int(np.random.SeedSequence([seed, repeat, *folds]).generate_state(1)[0])


def _by_class(
    labels: Sequence[str], patients: Sequence[str], folds: int, state: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (rest, test) of each fold."""
    from sklearn.model_selection import StratifiedGroupKFold

    for label in sorted(set(labels)):
        everyone = {patient for patient, found in zip(patients, labels, strict=True) if found == label}
        if len(everyone) < folds:
            raise ValueError(
                f"class {label!r} must have at least one patient for each of the {folds} folds, found "
                f"{len(everyone)}; give --folds {max(2, len(everyone))}, add patients, or merge the class "
                "with another"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    for fold, (rest, test) in enumerate(splitter.split(labels, labels, patients), start=1):
        absent = set(labels) - {labels[case] for case in test}
        if absent:
            raise ValueError(
                f"class {min(absent)!r} is absent from the test part of fold {fold}, because its patients "
                "have several cases or classes; give fewer --folds, or another --seed"
            )
        yield rest.tolist(), test.tolist()


def _by_site(
    labels: Sequence[str], patients: Sequence[str], sites: Sequence[str | None]
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (rest, test) of each site, sorted by name; a site may lack a class."""
    from sklearn.model_selection import LeaveOneGroupOut

    home: dict[str, str] = {}
    for patient, site in zip(patients, sites, strict=True):
        if site is None:
            raise ValueError(f"patient {patient} must have a 'site' in dataset.json to leave one site out, found none")
        if home.setdefault(patient, site) != site:
            raise ValueError(
                f"patient {patient} must be at one site to leave one site out, found {home[patient]!r} and "
                f"{site!r}; give all of a patient's cases the same site"
            )
    if len(set(sites)) < 2:
        raise ValueError(
            f"to leave one site out there must be at least 2 sites, found only {sites[0]!r}; set "
            "leave_one_site_out: false"
        )
    for rest, test in LeaveOneGroupOut().split(labels, groups=sites):
        yield rest.tolist(), test.tolist()
