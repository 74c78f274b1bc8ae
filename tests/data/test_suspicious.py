"""Columns that look like the answer are found and left out; honest ones stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripts.data.layouts import Found
from scripts.data.suspicious import suspicious_columns, without_suspicious

CLASSES = ["low", "mid", "high"]


def cohort(count: int, classes: int = 2, seed: int = 0, **columns: Any) -> tuple[list[dict], list[dict]]:
    """Return cases whose columns are functions of (class index, case number, generator)."""
    rng = np.random.default_rng(seed)
    cases, declared = [], []
    for number in range(count):
        label = number % classes
        values = {name: value(label, number, rng) for name, value in columns.items()}
        values = {name: value for name, value in values.items() if value is not None}
        cases.append({"case": str(number), "image": {}, "label": CLASSES[label], "clinical": values})
    for name in columns:
        kinds = {isinstance(case["clinical"].get(name), str) for case in cases if name in case["clinical"]}
        declared.append({"name": name, "kind": "category" if kinds == {True} else "number"})
    return cases, declared


HONEST = {
    "noise": lambda label, number, rng: rng.normal(),
    "good marker": lambda label, number, rng: rng.normal() + 1.5 * label,  # AUC 0.86
    "sex": lambda label, number, rng: "FM"[rng.integers(2)],
    "rare categories": lambda label, number, rng: f"ward {number % 12}" if number < 24 else "ward 0",
    "name": lambda label, number, rng: f"number {number}",
    "half missing": lambda label, number, rng: rng.normal() if rng.random() < 0.5 else None,
}
LEAKS = {
    "stage after surgery": (lambda label, number, rng: 10.0 * label + rng.normal(), "its values"),
    "falling": (lambda label, number, rng: -float(label), "its values"),
    "report": (lambda label, number, rng: ["a benign", "m malignant"][label], "its values"),
    "two words each": (lambda label, number, rng: f"{label} {number // 2 % 2}", "its values"),
    "date of biopsy": (lambda label, number, rng: rng.normal() if label else None, "whether it is filled"),
}


def test_honest_columns_are_not_suspected():
    for seed in range(20):
        cases, columns = cohort(60, seed=seed, **HONEST)
        assert suspicious_columns(cases, columns) == []


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_gives_the_class_away_is_found(name):
    value, by = LEAKS[name]
    cases, columns = cohort(60, **HONEST, **{name: value})
    (suspicion,) = suspicious_columns(cases, columns)
    assert (suspicion.column, suspicion.by, suspicion.cases) == (name, by, 60)
    assert suspicion.auc == pytest.approx(1.0)


def test_one_class_of_three_is_enough():
    cases, columns = cohort(60, classes=3, marker=lambda label, number, rng: rng.normal() + 20 * (label == 2))
    (suspicion,) = suspicious_columns(cases, columns)
    assert (suspicion.label, suspicion.auc) == ("high", 1.0)


def test_few_cases_prove_nothing():
    def leak(label, number, rng):
        return float(label)

    assert suspicious_columns(*cohort(18, leak=leak)) == []
    assert len(suspicious_columns(*cohort(20, leak=leak))) == 1
    cases, columns = cohort(60, leak=leak)
    few = [case for case in cases if case["label"] == "low" or int(case["case"]) < 8]  # four of the other class
    assert suspicious_columns(few, columns) == []


def test_a_suspicious_column_goes_with_a_warning_and_stays_on_request():
    cases, columns = cohort(40, age=HONEST["noise"], report=LEAKS["report"][0])
    found = Found("toy", [], cases, clinical=columns)
    cleaned, kept = without_suspicious(found), without_suspicious(found, keep=True)
    assert [column["name"] for column in cleaned.clinical] == ["age"]
    assert all(list(case["clinical"]) == ["age"] for case in cleaned.cases)
    assert cleaned.notes == [
        "warning: clinical column 'report' alone tells the class 'low' by its values (AUC 1.000, 40 cases): "
        "left out; if it is known before the diagnosis, pass --keep_suspicious True"
    ]
    assert (kept.cases, kept.clinical) == (found.cases, found.clinical)
    assert kept.notes[0].endswith("(AUC 1.000, 40 cases): kept")
