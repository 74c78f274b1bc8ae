# SPDX-License-Identifier: Apache-2.0
"""Intervals by patient."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.metrics.registry import METRICS, OVERALL
from scripts.metrics.rows import classification_table, confidence_intervals
from scripts.metrics.scores import weighted_auc
from sklearn.metrics import roc_auc_score


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes in turn, P(high) about one standard deviation apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * labels - 1)))
    return np.stack([1 - p, p], axis=1), labels


def test_the_weighted_auc_is_scikit_learns_even_with_ties() -> None:
    rng = np.random.default_rng(1)
    score = rng.integers(0, 6, 40) / 6
    positive = rng.random(40) < 0.4
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    expected = [roc_auc_score(positive, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auc(score, positive, weights), expected, atol=1e-12)
    assert np.isnan(weighted_auc(score, positive, np.where(positive, 0.0, 1.0)[None])).all()


def test_the_interval_holds_the_value_and_has_the_width_of_the_binomial() -> None:
    probabilities, labels = sample(400)
    right = (probabilities.argmax(axis=1) == labels).mean()
    auc = roc_auc_score(labels, probabilities[:, 1])
    intervals = confidence_intervals(probabilities, labels, draws=2000)[-1]
    accuracy = intervals["accuracy"]
    assert accuracy.lower < right < accuracy.upper
    assert accuracy.upper - accuracy.lower == pytest.approx(2 * 1.96 * np.sqrt(right * (1 - right) / 400), rel=0.1)
    assert intervals["auc"].lower < auc < intervals["auc"].upper


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    probabilities, labels = sample(60)
    first = confidence_intervals(probabilities, labels, seed=3)
    assert first == confidence_intervals(probabilities, labels, seed=3)
    assert first[-1]["f1"] != confidence_intervals(probabilities, labels, seed=4)[-1]["f1"]


def test_five_copies_of_each_patient_tell_no_more_than_one() -> None:
    probabilities, labels = sample(40)
    once = confidence_intervals(probabilities, labels)[-1]
    copies, copied_labels = np.repeat(probabilities, 5, axis=0), np.repeat(labels, 5)
    patients = [f"p{i}" for i in np.repeat(np.arange(40), 5)]
    by_patient = confidence_intervals(copies, copied_labels, patients)[-1]
    by_case = confidence_intervals(copies, copied_labels)[-1]
    for metric in (*METRICS, *OVERALL):
        assert by_patient[metric].lower == pytest.approx(once[metric].lower)
        assert by_patient[metric].upper == pytest.approx(once[metric].upper)
        width = by_case[metric].upper - by_case[metric].lower
        assert width < 0.6 * (once[metric].upper - once[metric].lower), "cases taken for patients look too sure"


def test_draws_without_a_class_are_left_out_and_counted() -> None:
    probabilities, labels = sample(20)
    labels = np.r_[1, 1, np.zeros(18, dtype=int)]
    found = confidence_intervals(probabilities, labels)[-1]["average_precision"]
    assert 0.8 < found.draws_used / found.draws < 0.95
    assert "the others miss a class" in found.note
    assert found.lower is not None


def test_where_there_is_no_interval_the_reason_is_given() -> None:
    probabilities, labels = sample(10)
    one_patient = confidence_intervals(probabilities, labels, ["p"] * 10)[-1]
    assert (one_patient["auc"].lower, one_patient["accuracy"].upper) == (None, None)
    assert "at least 2 patients" in one_patient["auc"].note
    one_class = confidence_intervals(probabilities, np.zeros(10, dtype=int))[-1]
    assert one_class["auc"].lower is None
    assert one_class["accuracy"].lower is not None
    assert one_class["f1"].lower is not None
    sure = confidence_intervals([[0.9, 0.1], [0.1, 0.9]] * 5, [0, 1] * 5)[-1]
    assert "does not make it certain" in sure["accuracy"].note


def test_a_perfect_auc_has_an_interval_all_the_same() -> None:
    auc = confidence_intervals([[0.9, 0.1], [0.1, 0.9]] * 10, [0, 1] * 10)[-1]["auc"]
    assert (auc.method, auc.upper) == ("score (Newcombe)", 1.0)
    assert auc.lower == pytest.approx(0.8002, abs=5e-5), "1 - A = z sqrt(V(A)) by hand"
    by_patient = confidence_intervals([[0.9, 0.1], [0.1, 0.9]] * 10, [0, 1] * 10, [f"p{i // 4}" for i in range(20)])
    assert by_patient[-1]["auc"].lower < auc.lower, "5 patients tell less than 20"
    constant = confidence_intervals([[0.5, 0.5]] * 10, [0, 1] * 5)[-1]["auc"]
    assert (constant.lower, constant.note) == (None, "the probabilities order all cases alike")


def test_each_row_takes_its_intervals() -> None:
    probabilities, labels = sample(50)
    intervals = confidence_intervals(probabilities, labels)
    low, high, macro = classification_table(probabilities, labels, ["low", "high"], intervals)
    assert low["auc_interval"] == high["auc_interval"] == macro["auc_interval"], "one AUC for two classes"
    for row, found in zip((low, high, macro), intervals, strict=True):
        for metric, interval in found.items():
            assert row[f"{metric}_interval"] == [interval.lower, interval.upper]
            assert interval.lower <= row[metric] <= interval.upper


def test_lists_of_different_lengths_are_refused() -> None:
    probabilities, labels = sample(10)
    with pytest.raises(ValueError, match="one patient per case, found 9 for 10"):
        confidence_intervals(probabilities, labels, ["p"] * 9)
