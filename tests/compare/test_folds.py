# SPDX-License-Identifier: Apache-2.0
"""Folds: no patient on both sides, every case in the test once per repeat, classes in balance."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from scripts.cases.read import read_cases
from workbench.compare.folds import make_folds
from workbench.compare.pool import read_pool, write_fold


def drawn(seed: int) -> tuple[list[str], list[str]]:
    """Labels and patients of 60 patients with one to three cases each."""
    rng = np.random.default_rng(seed)
    labels, patients = [], []
    for number in range(60):
        label = "rare" if number < 12 else "high" if number < 30 else "low"
        for _ in range(int(rng.integers(1, 4))):
            labels.append(label)
            patients.append(f"p{number}")
    order = rng.permutation(len(labels))
    return [labels[i] for i in order], [patients[i] for i in order]


@pytest.mark.parametrize("seed", range(5))
def test_patients_are_apart_and_every_case_is_tested_once_per_repeat(seed):
    labels, patients = drawn(seed)
    folds = make_folds(labels, patients, folds=4, repeats=3, validation_fraction=0.25, seed=seed)
    assert len(folds) == 12
    for fold in folds:
        parts = [{patients[case] for case in part} for part in (fold.training, fold.validation, fold.test)]
        assert all(parts[i].isdisjoint(parts[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        assert sorted(fold.training + fold.validation + fold.test) == list(range(len(labels)))
        for part in (fold.training, fold.validation, fold.test):
            assert {labels[case] for case in part} == {"rare", "high", "low"}
    for repeat in (1, 2, 3):
        tested = [case for fold in folds if fold.repeat == repeat for case in fold.test]
        assert sorted(tested) == list(range(len(labels)))


def test_classes_are_in_balance():
    """With one case per patient no part is further than one case from its share of a class."""
    labels = ["low"] * 40 + ["high"] * 22 + ["rare"] * 7
    patients = [f"p{number}" for number in range(len(labels))]
    for fold in make_folds(labels, patients, folds=5, repeats=4, validation_fraction=0.25, seed=3):
        counts = {name: Counter(labels[i] for i in getattr(fold, name)) for name in ("test", "validation")}
        for label, total in Counter(labels).items():
            assert abs(counts["test"][label] - total / 5) <= 1
            assert abs(counts["validation"][label] - (total - counts["test"][label]) / 4) <= 1


def test_seed_and_repeat_decide():
    labels, patients = drawn(0)
    folds = make_folds(labels, patients, 3, 2, 0.2, seed=1)
    assert folds == make_folds(labels, patients, 3, 2, 0.2, seed=1)
    assert folds[:3] == make_folds(labels, patients, 3, 1, 0.2, seed=1)  # more repeats change no fold
    assert {tuple(fold.test) for fold in folds[:3]}.isdisjoint(tuple(fold.test) for fold in folds[3:])
    assert folds != make_folds(labels, patients, 3, 2, 0.2, seed=2)


def test_every_site_is_left_out_once():
    labels, patients = drawn(1)
    sites = ["north" if int(name[1:]) % 3 == 0 else "south" for name in patients]
    folds = make_folds(labels, patients, 5, 1, 0.2, seed=0, sites=sites)
    assert [{sites[case] for case in fold.test} for fold in folds] == [{"north"}, {"south"}]
    assert [{sites[case] for case in fold.training} for fold in folds] == [{"south"}, {"north"}]


PATIENTS = [f"p{number}" for number in range(12)]
LABELS = ["low", "high"] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["rare"] * 3 + ["low"] * 9}, "'rare' must have at least one patient.* 4 folds, found 3"),
        ({"folds": 1}, "folds must be a whole number of at least 2, found 1"),
        ({"folds": 2.5}, "folds must be a whole number"),
        ({"repeats": 0}, "repeats must be a whole number of at least 1, found 0"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie between 0 and 1, found 1.0"),
        ({"sites": ["a"] * 12}, "at least 2 sites, found only 'a'"),
        ({"sites": [None, *"abababababa"]}, "patient p0 must have a 'site'"),
        ({"sites": [*"abababababab"], "patients": ["p0"] * 12}, "patient p0 must be at one site.* 'a' and 'b'"),
        ({"labels": ["rare", "rare", *["low"] * 10], "folds": 2}, "repeat 1, fold .*'rare'"),
    ],
)
def test_what_makes_no_folds_is_said_in_one_line(changes, message):
    given = {"labels": LABELS, "patients": PATIENTS, "folds": 4, "repeats": 1, "seed": 0}
    given["validation_fraction"] = 0.2
    with pytest.raises(ValueError, match=message) as caught:
        make_folds(**(given | changes))
    assert "\n" not in str(caught.value)


def test_the_dataset_of_a_fold_holds_the_same_cases(small_phantom, tmp_path):
    """Read back as a training reads it: every case once, with its files, label and table."""
    names = {"phases": ["arterial", "portal"], "classes": ["low", "high"], "clinical": ["sex", "age"]}
    pool = read_pool(small_phantom, **names)
    fold = make_folds(pool.values("label"), pool.values("patient"), 2, 1, 0.25, seed=0)[1]
    write_fold(tmp_path / "fold", pool, fold)
    found = read_cases(tmp_path / "fold", **names)
    before = read_cases(small_phantom, **names)
    every = {item["case"]: item for item in [*before.training, *before.validation, *before.test]}
    for split in ("training", "validation", "test"):
        items = getattr(found, split)
        assert [item["case"] for item in items] == [pool.items[case]["case"] for case in getattr(fold, split)]
        for item in items:
            assert item == every.pop(item["case"]) | {"split": split}
    assert not every
    assert found.clinical == before.clinical


def test_splits_choose_what_is_pooled(small_phantom):
    names = (["arterial", "portal"], ["low", "high"], [])
    document = json.loads((small_phantom / "dataset.json").read_text())
    wanted = sorted(entry["case"] for name in ("training", "test") for entry in document[name])
    assert read_pool(small_phantom, *names, splits=["test", "training"]).values("case") == wanted
    with pytest.raises(ValueError, match=r"`splits` must be among .*nearest: 'test'.*found 'tests'"):
        read_pool(small_phantom, *names, splits=["tests"])
