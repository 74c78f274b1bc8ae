# SPDX-License-Identifier: Apache-2.0
"""Splits: stratified by class, grouped by patient, fixed by the seed."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from scripts.cases.splits import assign_splits, split_by_patient

FRACTIONS = {"training": 0.6, "validation": 0.2, "test": 0.2}


def test_each_class_is_dealt_out_by_its_share():
    labels = ["a"] * 20 + ["b"] * 50 + ["c"] * 5
    splits = split_by_patient(labels, [f"p{n}" for n in range(75)], FRACTIONS, seed=0)
    counts = Counter(zip(labels, splits, strict=True))
    assert [counts["a", split] for split in FRACTIONS] == [12, 4, 4]
    assert [counts["b", split] for split in FRACTIONS] == [30, 10, 10]
    assert [counts["c", split] for split in FRACTIONS] == [3, 1, 1]


@pytest.mark.parametrize("patients", [3, 4, 7])
def test_a_small_class_is_in_every_split(patients):
    splits = split_by_patient(["a"] * patients, [f"p{n}" for n in range(patients)], FRACTIONS, seed=1)
    assert set(splits) == set(FRACTIONS)


def test_a_patient_stays_together_and_counts_for_its_rarest_class():
    cases = [(f"p{n}", "common") for n in range(30)] + [(f"p{n}", "rare") for n in range(6)]
    patients, labels = zip(*cases, strict=True)
    splits = split_by_patient(labels, patients, FRACTIONS, seed=0)
    of_patient: dict[str, set[str]] = {}
    for patient, split in zip(patients, splits, strict=True):
        of_patient.setdefault(patient, set()).add(split)
    assert all(len(found) == 1 for found in of_patient.values())
    rare = Counter(split for split, label in zip(splits, labels, strict=True) if label == "rare")
    assert rare == {"training": 3, "validation": 1, "test": 2}  # few patients: the test is rounded up


def test_the_seed_decides_and_the_order_of_the_cases_does_not():
    cases = [(f"p{n // 2}", "ab"[n // 2 % 2]) for n in range(80)]
    shuffled = random.Random(0).sample(cases, len(cases))

    def by_patient(cases: list[tuple[str, str]], seed: int) -> dict[str, str]:
        patients, labels = zip(*cases, strict=True)
        return dict(zip(patients, split_by_patient(labels, patients, FRACTIONS, seed), strict=True))

    assert by_patient(cases, 5) == by_patient(shuffled, 5)
    assert by_patient(cases, 5) != by_patient(cases, 6)


def test_the_draw_does_not_follow_the_order_of_the_names():
    splits = split_by_patient(["a"] * 50, [f"p{n:03d}" for n in range(50)], FRACTIONS, seed=0)
    assert splits != sorted(splits, key=list(FRACTIONS).index)
    assert "test" in splits[:25]


@pytest.mark.parametrize(
    ("labels", "patients", "fractions", "message"),
    [
        (["a", "a", "b"], ["1", "2", "3"], FRACTIONS, r"class 'a' must have at least one patient for each .* found 2"),
        (
            ["a"] * 9,
            list("111222333"),
            {"training": 0.7, "test": 0.0},
            r"fraction of split 'test' must be above 0, found 0",
        ),
        (["a"] * 3, ["1", "2"], FRACTIONS, r"one patient per label, found 2 for 3"),
    ],
)
def test_what_cannot_be_split(labels, patients, fractions, message):
    with pytest.raises(ValueError, match=message):
        split_by_patient(labels, patients, fractions, seed=0)


def test_a_class_may_live_on_patients_that_count_for_a_rarer_one():
    labels = ["common"] * 6 + ["rare"] * 3
    splits = split_by_patient(labels, ["1", "2", "3", "1", "2", "3", "1", "2", "3"], FRACTIONS, seed=0)
    assert sorted(splits[:3]) == sorted(FRACTIONS)


def test_a_class_that_grouping_keeps_out_of_a_split_is_named():
    labels = ["rarest"] * 9 + ["rare"] * 10
    patients = [f"p{n}" for n in range(9)] + ["p0", "p1", "p2"] * 3 + ["p2"]
    with pytest.raises(ValueError, match=r"class 'rare' is absent from the .* split.*another seed.*'split' column"):
        split_by_patient(labels, patients, FRACTIONS, seed=0)


def test_fixed_splits_are_kept_and_the_rest_shared_among_the_others():
    cases = [{"case": f"t{n}", "label": "a", "split": "test"} for n in range(3)]
    cases += [{"case": f"c{n}", "label": "a"} for n in range(8)] + [{"case": "u"}]
    splits = assign_splits(cases, [0.6, 0.2, 0.2], seed=0)
    assert [case["case"] for case in splits["test"]] == ["t0", "t1", "t2"]
    assert (len(splits["training"]), len(splits["validation"])) == (6, 2)
    assert [case["case"] for case in splits["unlabelled"]] == ["u"]


def test_a_case_left_over_where_every_split_is_fixed():
    cases = [{"case": s, "label": "a", "split": s} for s in FRACTIONS] + [{"case": "x", "label": "a"}]
    with pytest.raises(ValueError, match=r"case x must have a split like the others"):
        assign_splits(cases, [0.6, 0.2, 0.2], seed=0)


@pytest.mark.parametrize("fractions", [[0.8, 0.2], "0.6"])
def test_there_are_three_fractions(fractions):
    with pytest.raises(ValueError, match=r"fractions must be three numbers"):
        assign_splits([{"case": "a", "label": "a"}], fractions, seed=0)


@pytest.mark.parametrize(("number", "least"), [(12, 4), (16, 4), (24, 6), (36, 8), (58, 12)])
def test_few_patients_are_rounded_in_favour_of_the_test(number, least):
    labels = ["a", "b"] * (number // 2)
    splits = split_by_patient(labels, [f"p{n:02d}" for n in range(number)], FRACTIONS, seed=0)
    counts = {split: splits.count(split) for split in FRACTIONS}
    assert counts["test"] == least
    assert counts["training"] > counts["test"] >= counts["validation"] >= 2
    for split in FRACTIONS:  # stratified
        assert len({label for label, found in zip(labels, splits, strict=True) if found == split}) == 2


@pytest.mark.parametrize("number", [60, 75, 117, 300])
def test_more_patients_are_dealt_out_as_before(number):
    splits = split_by_patient(["a", "b", "b"] * (number // 3), [f"p{n:03d}" for n in range(number)], FRACTIONS, seed=0)
    for label in "ab":
        count = sum(name == label for name in ["a", "b", "b"] * (number // 3))
        found = [s for s, name in zip(splits, ["a", "b", "b"] * (number // 3), strict=True) if name == label]
        exact = count * np.array([0.6, 0.2, 0.2])
        assert all(abs(found.count(s) - e) < 1 for s, e in zip(FRACTIONS, exact, strict=True))


def test_calibration_cases_are_set_apart_by_class_and_patient_and_nothing_is_drawn_without_them():
    cases = [{"case": f"c{n}", "label": "ab"[n % 3 == 0], "patient": f"p{n // 2}"} for n in range(240)]
    splits = assign_splits(cases, [0.6, 0.2, 0.2], seed=0, calibration=0.15)
    of = {split: {case["patient"] for case in found} for split, found in splits.items()}
    assert list(splits) == ["training", "validation", "calibration", "test", "unlabelled"]
    assert len(of["calibration"]) == pytest.approx(0.15 * 120, abs=1)
    assert len(of["training"]) == pytest.approx(0.85 * 0.6 * 120, abs=2)
    assert sum(map(len, of.values())) == len(set().union(*of.values())) == 120
    assert {case["label"] for case in splits["calibration"]} == {"a", "b"}
    assert "calibration" not in assign_splits(cases, [0.6, 0.2, 0.2], seed=0)


def test_where_the_source_fixes_every_split_calibration_cases_are_taken_from_the_training():
    cases = [{"case": f"c{n}", "label": "ab"[n % 2], "split": ["training", "test"][n >= 40]} for n in range(60)]
    cases += [{"case": f"v{n}", "label": "ab"[n % 2], "split": "validation"} for n in range(10)]
    splits = assign_splits(cases, [0.6, 0.2, 0.2], seed=0, calibration=0.25)
    assert {split: len(found) for split, found in splits.items()} == {
        "training": 30, "validation": 10, "calibration": 10, "test": 20, "unlabelled": 0
    }  # fmt: skip
    assert all(int(case["case"][1:]) < 40 for case in splits["calibration"])
