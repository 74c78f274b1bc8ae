# SPDX-License-Identifier: Apache-2.0
"""Splits and folds are balanced by class and site, grouped by patient, and can be trained on."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from scripts.cases.read import read_cases
from scripts.cases.splits import split_by_patient
from workbench.prepare.fold_splits import fold_splits
from workbench.prepare.preparing import prepare
from workbench.prepare.settings import Settings

from tests.prepare.test_identical import cohort

FRACTIONS = {"training": 0.6, "validation": 0.2, "test": 0.2}


def patients_of(sizes: dict[tuple[str, str], int]) -> list[tuple[str, str, str]]:
    """Return (label, site, patient) of each case; every third patient has two cases."""
    cases = [(label, site, f"{label}{site}{number}") for (label, site), size in sizes.items() for number in range(size)]
    return cases + cases[::3]


SIZES = {("low", "A"): 30, ("low", "B"): 10, ("low", "C"): 5}
SIZES |= {("high", "A"): 10, ("high", "B"): 21, ("high", "C"): 4}


@pytest.mark.parametrize("seed", range(5))
def test_each_site_has_its_share_of_each_split_and_class(seed):
    labels, sites, patients = zip(*patients_of(SIZES), strict=True)
    splits = split_by_patient(labels, patients, FRACTIONS, seed, sites)
    of_patient = dict(zip(patients, splits, strict=True))
    assert all(of_patient[patient] == split for patient, split in zip(patients, splits, strict=True))
    home = {patient: (label, site) for label, site, patient in zip(labels, sites, patients, strict=True)}
    counts = Counter((home[patient], split) for patient, split in of_patient.items())
    for cell, size in SIZES.items():
        for split, share in FRACTIONS.items():
            assert abs(counts[cell, split] - share * size) < 1.5
    for label in ("low", "high"):
        total = sum(size for cell, size in SIZES.items() if cell[0] == label)
        for split, share in FRACTIONS.items():
            drawn = sum(counts[(label, site), split] for site in "ABC")
            assert abs(drawn - share * total) < 1


def test_without_sites_they_would_be_further_off():
    labels, sites, patients = zip(*patients_of(SIZES), strict=True)
    cells = dict(zip(patients, zip(labels, sites, strict=True), strict=True))

    def off(given: tuple[str, ...] | None) -> float:
        worst = []
        for seed in range(5):
            of_patient = dict(zip(patients, split_by_patient(labels, patients, FRACTIONS, seed, given), strict=True))
            counts = Counter((cells[patient], split) for patient, split in of_patient.items())
            worst.append(max(abs(counts[c, s] - f * n) for c, n in SIZES.items() for s, f in FRACTIONS.items()))
        return sum(worst) / len(worst)

    assert off(None) > 2 * off(sites)


def test_one_site_is_no_site():
    labels, sites, patients = zip(*patients_of(SIZES), strict=True)
    plain = split_by_patient(labels, patients, FRACTIONS, 3)
    assert split_by_patient(labels, patients, FRACTIONS, 3, ["A"] * len(labels)) == plain
    assert split_by_patient(labels, patients, FRACTIONS, 3, [None] * len(labels)) == plain
    assert split_by_patient(labels, patients, FRACTIONS, 3, sites) != plain


def entries() -> list[dict]:
    return [
        {"case": f"c{number}", "label": label, "site": site, "patient": patient, "image": {}}
        for number, (label, site, patient) in enumerate(patients_of(SIZES))
    ]


def test_each_case_is_a_test_case_once_and_patients_stay_together():
    folds = fold_splits([*entries(), {"case": "u", "image": {}}], 4, [0.6, 0.2, 0.2], seed=1)
    assert list(folds) == ["r1_f1", "r1_f2", "r1_f3", "r1_f4"]
    tested = [case["case"] for splits in folds.values() for case in splits["test"]]
    assert sorted(tested) == sorted(case["case"] for case in entries())
    for splits in folds.values():
        people = [{case["patient"] for case in cases} for cases in splits.values()]
        assert sum(map(len, people)) == len(set.union(*people)) == sum(SIZES.values())
        counts = Counter((case["label"], case["site"]) for case in splits["test"])
        assert all(counts[cell] >= size // 4 - 1 for cell, size in SIZES.items())
        assert len(people[1]) / (len(people[0]) + len(people[1])) == pytest.approx(0.25, abs=0.02)
    assert fold_splits(entries()[::-1], 4, [0.6, 0.2, 0.2], seed=1) == fold_splits(entries(), 4, [0.6, 0.2, 0.2], 1)
    assert fold_splits(entries(), 4, [0.6, 0.2, 0.2], seed=2) != folds


def test_folds_are_datasets_of_their_own(tmp_path):
    folder = cohort(tmp_path)
    settings = {"source": folder / "in", "layout": "folders", "labels": folder / "labels.csv"}
    settings |= {"output": folder, "allow_identical": True}
    file = prepare(Settings(**settings, folds=3, seed=4))
    whole = read_cases(file, ["pre"], ["high", "low"])
    tested = []
    for name in ("r1_f1", "r1_f2", "r1_f3"):
        cases = read_cases(folder / "folds" / name, ["pre"], ["high", "low"])
        tested += [item["case"] for item in cases.test]
        assert json.loads((folder / "folds" / name / "dataset.json").read_text())["seed"] == 4
    everyone = [item["case"] for item in [*whole.training, *whole.validation, *whole.test]]
    assert sorted(tested) == sorted(everyone)
    prepare(Settings(**settings, overwrite=True))
    assert not list(folder.rglob("folds/*/dataset.json"))


@pytest.mark.parametrize(
    ("folds", "change", "message"),
    [
        (1, {}, r"folds must be a whole number of at least 2, found 1; correct --folds"),
        ("five", {}, r"folds must be a whole number of at least 2, found 'five'"),
        (3, {"split": "test"}, r"case c0 fixed to 'test' by the source; leave out --folds"),
        (40, {}, r"class 'high' must have at least one patient for each of the splits .* found 35"),
    ],
)
def test_folds_that_cannot_be_drawn(folds, change, message):
    with pytest.raises(ValueError, match=message):
        fold_splits([entries()[0] | change, *entries()[1:]], folds, [0.6, 0.2, 0.2], seed=0)
