# SPDX-License-Identifier: Apache-2.0
"""Metrics in groups equal those of the groups alone; gaps, their intervals and p-values; groups that are too small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scripts.metrics.interval import wilson_interval
from scripts.metrics.rows import classification_table, threshold_row
from scripts.metrics.subgroups import Labelled, compare_groups, redistributed, subgroup_scores

from benchmarks.site_gap import SETTINGS, Setting, cohort, render, simulate

CLASSES = ["low", "high"]


def drawn(n: int = 120, classes: int = 2, per_patient: int = 1, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    label = np.arange(n) // per_patient % classes
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[label]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"c{k}" for k in range(classes)] if classes > 2 else CLASSES
    return Labelled(probability, label, names, [f"p{i // per_patient}" for i in range(n)], 99, 0, None)


def halves(n: int = 120) -> list[str]:
    return ["A" if i % 10 < 4 else "B" for i in range(n)]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_group_has_the_metrics_that_it_has_alone(classes: int) -> None:
    found = drawn(classes=classes)
    scores = subgroup_scores(found, "site", halves(), ["A", "B"])
    for row in (*scores["groups"], scores["all"]):
        chosen = np.array([one in (row["group"], *("AB" if row["group"] == "all" else "")) for one in halves()])
        macro = classification_table(found.probability[chosen], found.label[chosen], found.classes)[-1]
        assert row["auc"] == pytest.approx(macro["auc"])
        assert row["accuracy"] == pytest.approx(macro["accuracy"])
        assert row["auc_interval"][0] < row["auc"] < row["auc_interval"][1]
        assert (row["n"], sum(row["n_of_class"].values())) == (chosen.sum(), chosen.sum())
    assert ("sensitivity" in scores["all"]) == (classes == 2)


def test_sensitivity_and_specificity_are_those_of_the_positive_class_at_the_threshold() -> None:
    found = replace(drawn(), threshold=0.3, positive=0)
    row = subgroup_scores(found, "site", halves(), ["A", "B"])["groups"][0]
    chosen = np.array(halves()) == "A"
    expected = threshold_row(found.probability[chosen], found.label[chosen], CLASSES, 0.3, draws=0, positive="low")
    for metric in ("sensitivity", "specificity"):
        assert row[metric] == pytest.approx(expected[metric])
        n = int((found.label[chosen] == (0 if metric == "sensitivity" else 1)).sum())
        assert row[f"{metric}_interval"] == pytest.approx(wilson_interval(row[metric], n))


def test_cases_of_a_patient_count_together() -> None:
    """Each case thrice: the same values and p, and intervals as wide as of single cases."""
    once = drawn(60)
    thrice = Labelled(
        np.repeat(once.probability, 3, axis=0),
        np.repeat(once.label, 3),
        CLASSES,
        list(np.repeat(once.patients, 3)),
        99,
        0,
    )
    single, triple = (
        subgroup_scores(found, "site", group, ["A", "B"])
        for found, group in ((once, halves(60)), (thrice, list(np.repeat(halves(60), 3))))
    )
    for one, other in zip(single["groups"], triple["groups"], strict=True):
        assert other["n"] == 3 * one["n"]
        for metric in ("auc", "accuracy", "sensitivity"):
            assert other[metric] == pytest.approx(one[metric])
            assert other[f"{metric}_interval"] == pytest.approx(one[f"{metric}_interval"], abs=1e-6)
    assert [gap["p_value"] for gap in triple["gaps"]] == [gap["p_value"] for gap in single["gaps"]]


def test_the_gap_names_its_groups_and_its_interval_holds_it() -> None:
    scores = subgroup_scores(drawn(), "site", halves(), ["A", "B"])
    values = {row["group"]: row for row in scores["groups"]}
    assert [gap["metric"] for gap in scores["gaps"]] == ["auc", "accuracy", "sensitivity", "specificity"]
    for gap in scores["gaps"]:
        high, low = (values[gap[end]][gap["metric"]] for end in ("highest", "lowest"))
        assert gap["gap"] == pytest.approx(high - low)
        assert gap["gap_interval"][0] <= gap["gap"] <= gap["gap_interval"][1]


def test_a_real_gap_is_found_and_one_of_class_frequencies_alone_is_none() -> None:
    found = drawn(400)
    worse = np.array(halves(400)) == "B"
    found.probability[worse] = found.probability[worse][np.random.default_rng(1).permutation(worse.sum())]
    gaps = {gap["metric"]: gap for gap in compare_groups(found, [("site", halves(400), ["A", "B"])])[0]["gaps"]}
    assert (gaps["auc"]["highest"], gaps["auc"]["lowest"]) == ("A", "B")
    assert gaps["auc"]["p_value"] == 0.01
    assert gaps["auc"]["p_holm"] == pytest.approx(0.04)
    assert gaps["auc"]["gap_interval"][0] > 0
    # low is always named right, high never: accuracy follows the frequencies of the classes
    label = np.r_[np.arange(100) < 80, np.arange(100) < 20].astype(int)
    named = Labelled(np.tile([0.9, 0.1], (200, 1)), label, CLASSES, [f"p{i}" for i in range(200)], 99, 0)
    gaps = {gap["metric"]: gap for gap in subgroup_scores(named, "site", ["A"] * 100 + ["B"] * 100, ["A", "B"])["gaps"]}
    assert gaps["accuracy"]["gap"] == pytest.approx(0.6)
    assert gaps["accuracy"]["p_value"] == 1


def test_a_group_that_is_too_small_says_so_and_is_no_part_of_a_gap() -> None:
    found = drawn(60)
    # alone: one case; few: 4 low and 12 high; one class: 12 low
    group = ["rest"] * 60
    low, high = (np.flatnonzero(found.label == k) for k in (0, 1))
    for name, chosen in (("alone", low[:1]), ("few", [*low[1:5], *high[:12]]), ("one class", low[5:17])):
        for i in chosen:
            group[i] = name
    rows = {row["group"]: row for row in subgroup_scores(found, "by", group, [*dict.fromkeys(group)])["groups"]}
    assert rows["alone"]["too_few"]["accuracy"] == "1 of 10 patients of all classes"
    assert rows["few"]["too_few"] == {
        "auc": "4 of 5 patients of class low",
        "specificity": "4 of 5 patients of class low",
    }
    assert rows["few"]["sensitivity"] is not None
    assert rows["one class"]["too_few"]["auc"] == "0 of 5 patients of class high"
    assert rows["one class"]["specificity"] is not None
    assert all(rows["alone"][metric] is None for metric in ("auc", "accuracy", "sensitivity", "specificity"))
    gaps = {gap["metric"]: gap for gap in subgroup_scores(found, "by", group, [*dict.fromkeys(group)])["gaps"]}
    assert set(gaps) == {"accuracy", "sensitivity", "specificity"}
    assert gaps["accuracy"]["n_groups"] == 3


def test_redistributions_keep_the_classes_of_every_group_and_the_cases_of_a_patient_together() -> None:
    found = drawn(60, per_patient=3)
    patient = np.arange(60) // 3
    number = np.where(patient < 6, 0, np.where(patient < 14, 1, -1))
    moved = 0
    for block in redistributed(number, found.label, patient, 50, 0):
        for row in block:
            assert (row[number < 0] == -1).all()
            assert all(len(set(row[patient == one])) == 1 for one in range(20))
            for g in (0, 1):
                assert np.array_equal(np.bincount(found.label[row == g]), np.bincount(found.label[number == g]))
            moved += int((row != number).any())
    assert moved > 40


def test_without_resamples_there_are_values_alone() -> None:
    found = replace(drawn(), draws=0)
    scores = compare_groups(found, [("site", halves(), ["A", "B"])])[0]
    assert scores["groups"][0]["auc"] is not None
    assert scores["groups"][0]["auc_interval"] is None
    assert {gap["p_holm"] for gap in scores["gaps"]} == {None}


def test_equal_sites_differ_as_rarely_as_the_level_says() -> None:
    (row,) = [row for row in simulate(Setting("equal", (30, 30, 15)), 80, 39) if row["metric"] == "auc"]
    assert row["rejected"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)
    assert row["covered"] >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 80)


def test_the_simulated_sites_have_the_auc_that_is_named() -> None:
    for setting in (Setting("x", (4000, 4000), aucs=(0.9, 0.75)), Setting("x", (4000,), shift=1, spread=2)):
        data, sites, order = cohort(setting, 0, 0)
        rows = subgroup_scores(data, "site", sites, order)["groups"]
        assert [row["auc"] for row in rows] == pytest.approx(list(setting.aucs), abs=0.02)
    assert render([{k: str(v) for k, v in row.items()} for row in simulate(SETTINGS[-2], 3, 9)]).count("AUC .90") == 1
