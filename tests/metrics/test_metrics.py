# SPDX-License-Identifier: Apache-2.0
"""Metrics against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scripts.metrics.calibration import SELECTION_RULES, selection_value
from scripts.metrics.registry import METRICS
from scripts.metrics.rows import classification_table
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

# Six cases of three classes. Predicted: a a b | b b | a. Right: 2 of 3 a, 2 of 2 b, 0 of 1 c.
THREE = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.2, 0.5, 0.3], [0.1, 0.7, 0.2], [0.3, 0.4, 0.3], [0.5, 0.1, 0.4]])
THREE_LABELS = [0, 0, 0, 1, 1, 2]


def softmax(scores: np.ndarray) -> np.ndarray:
    exponential = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True)


def two(p: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(p), np.array(p)], axis=1)


def test_a_perfect_classifier_has_every_metric_one_and_the_inverted_one_zero() -> None:
    labels = [0, 0, 1, 1, 1]
    for row in classification_table(two([0.1, 0.2, 0.7, 0.8, 0.9]), labels, ["low", "high"]):
        assert [row[metric] for metric in METRICS] == [1.0] * len(METRICS)
    for row in classification_table(two([0.9, 0.8, 0.3, 0.2, 0.1]), labels, ["low", "high"]):
        assert [row[metric] for metric in METRICS if metric != "average_precision"] == [0.0] * (len(METRICS) - 1)


def test_two_classes_by_hand() -> None:
    # P(high): low .1 .6 .3, high .2 .9. Of 6 pairs high > low: .2 beats .1; .9 beats all three: 4 of 6.
    low, high, macro = classification_table(two([0.1, 0.6, 0.3, 0.2, 0.9]), [0, 0, 0, 1, 1], ["low", "high"])
    assert [row["auc"] for row in (low, high, macro)] == [pytest.approx(4 / 6)] * 3
    assert (high["sensitivity"], high["specificity"]) == (0.5, pytest.approx(2 / 3))
    assert (low["sensitivity"], low["specificity"]) == (pytest.approx(2 / 3), 0.5)
    assert high["accuracy"] == low["accuracy"] == macro["accuracy"] == pytest.approx(3 / 5)
    assert high["balanced_accuracy"] == macro["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert high["f1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert low["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert macro["f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert [(row["n"], row["n_positive"]) for row in (low, high, macro)] == [(5, 3), (5, 2), (5, None)]


def test_three_classes_by_hand() -> None:
    a, b, c, macro = classification_table(THREE, THREE_LABELS, ["a", "b", "c"])
    # P(a): a .8 .6 .2 against .1 .3 .5: .8 and .6 beat all three, .2 beats one: 7 of 9.
    # P(b): b .7 .4 against .1 .2 .5 .1: .7 beats four, .4 three: 7 of 8. P(c): c .4 beats all five.
    assert [row["auc"] for row in (a, b, c)] == [pytest.approx(7 / 9), pytest.approx(7 / 8), 1.0]
    assert [row["sensitivity"] for row in (a, b, c)] == [pytest.approx(2 / 3), 1.0, 0.0]
    assert [row["specificity"] for row in (a, b, c)] == [pytest.approx(2 / 3), 0.75, 1.0]
    assert [row["accuracy"] for row in (a, b, c)] == [pytest.approx(x / 6) for x in (4, 5, 5)]
    assert [row["f1"] for row in (a, b, c)] == [pytest.approx(4 / 6), pytest.approx(4 / 5), 0.0]
    assert [row["balanced_accuracy"] for row in (a, b, c)] == [pytest.approx(2 / 3), 0.875, 0.5]
    assert macro["accuracy"] == pytest.approx(4 / 6), "share of all cases predicted right, not the mean above"
    assert macro["balanced_accuracy"] == macro["sensitivity"] == pytest.approx(5 / 9)
    assert macro["auc"] == pytest.approx((7 / 9 + 7 / 8 + 1) / 3)
    assert macro["specificity"] == pytest.approx((2 / 3 + 3 / 4 + 1) / 3)


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_the_macro_row_agrees_with_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    labels = np.r_[np.arange(k), rng.integers(0, k, 60)]
    probabilities = softmax(rng.normal(size=(len(labels), k)) + 1.5 * np.eye(k)[labels])
    macro = classification_table(probabilities, labels, [f"c{i}" for i in range(k)])[-1]
    predicted = probabilities.argmax(axis=1)
    auc = (
        roc_auc_score(labels, probabilities[:, 1])
        if k == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert macro["auc"] == pytest.approx(auc, abs=1e-12)
    assert macro["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert macro["f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert macro["accuracy"] == pytest.approx((labels == predicted).mean())


def test_a_constant_classifier_is_chance() -> None:
    rows = classification_table(np.full((6, 3), 1 / 3), [0, 0, 1, 1, 2, 2], ["a", "b", "c"])
    assert [row["auc"] for row in rows] == [0.5] * 4, "equal probabilities count one half"
    assert rows[-1]["accuracy"] == pytest.approx(1 / 3), "ties go to the first class; never element-wise"
    assert [row["sensitivity"] for row in rows[:3]] == [1.0, 0.0, 0.0]


def test_the_ranking_is_by_the_class_and_not_by_the_confidence() -> None:
    labels, p = [0, 0, 1, 1], [0.01, 0.2, 0.8, 0.9]
    assert classification_table(two(p), labels, ["low", "high"])[-1]["auc"] == 1.0
    assert roc_auc_score(labels, two(p).max(axis=1)) < 0.5


def test_two_classes_have_one_auc_where_rounding_ties_one_column_only() -> None:
    # In float32 1 - 1e-9 is 1: P(low) ties the cases that P(high) still tells apart.
    p = np.array([1e-9, 2e-9, 3e-9, 0.5])
    probabilities = np.stack([1 - p, p], axis=1).astype(np.float32)
    rows = classification_table(probabilities, [0, 1, 0, 1], ["low", "high"])
    assert [row["auc"] for row in rows] == [pytest.approx(0.75)] * 3
    assert selection_value(probabilities, [0, 1, 0, 1], "auc") == pytest.approx(0.75)


def test_an_absent_class_is_undefined_with_a_reason_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b, c, macro = classification_table(THREE, [0, 0, 0, 1, 1, 0], ["a", "b", "c"])
    assert [c[metric] for metric in ("auc", "balanced_accuracy", "sensitivity", "f1")] == [None] * 4
    assert (c["specificity"], c["accuracy"]) == (1.0, 1.0)
    assert "no case of class c" in c["note"]
    assert macro["auc"] == pytest.approx((a["auc"] + b["auc"]) / 2)
    assert "2 of 3 classes (without c)" in macro["note"]


def test_one_class_only_has_an_accuracy_and_no_auc() -> None:
    low, high, macro = classification_table(two([0.2, 0.6, 0.3]), [0, 0, 0], ["low", "high"])
    assert (low["auc"], high["auc"], macro["auc"], low["specificity"]) == (None,) * 4
    assert macro["accuracy"] == pytest.approx(2 / 3)
    assert "every case has class low" in low["note"]


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, 0.5], [np.nan, np.nan]], r"row 1: probabilities must be finite, found \[nan, nan\]"),
        ([[0.5, 0.5], [2.0, -1.0]], r"row 1: .*sum to 1, found \[2, -1\]: apply softmax"),
        ([[3.1, 0.2], [1.0, 2.0]], r"row 0 \(and 1 more\): .*apply softmax"),
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], "one column per class, found 3 columns"),
        ([0.5, 0.5], r"shape \[n cases, K classes\]"),
    ],
)
def test_what_is_no_probability_is_refused_in_one_line(probabilities: list, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        classification_table(probabilities, [0, 1], ["low", "high"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 2], "0..1, found 2 in row 1"), ([0], r"shape \[2\]"), ([0.0, 1.0], "whole numbers")]
)
def test_wrong_labels_are_refused(labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_table([[0.5, 0.5], [0.4, 0.6]], labels, ["low", "high"])


def test_selection_values_by_hand() -> None:
    p, labels = two([0.1, 0.6, 0.3, 0.2, 0.9]), [0, 0, 0, 1, 1]
    assert selection_value(p, labels, "auc") == pytest.approx(4 / 6)
    assert selection_value(p, labels, "accuracy") == pytest.approx(3 / 5)
    assert selection_value(p, labels, "auc_accuracy") == pytest.approx(0.5 * 4 / 6 + 0.5 * 3 / 5)
    assert selection_value(p, labels, "loss") == pytest.approx(np.log([0.9, 0.4, 0.7, 0.2, 0.9]).mean())
    assert selection_value(THREE, THREE_LABELS, "auc") == pytest.approx((7 / 9 + 7 / 8 + 1) / 3)


@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_higher_is_better_under_every_rule(rule: str) -> None:
    labels = [0, 0, 1, 1]
    good, bad = two([0.1, 0.4, 0.6, 0.9]), two([0.6, 0.9, 0.1, 0.4])
    assert selection_value(good, labels, rule) > selection_value(bad, labels, rule)


def test_the_loss_of_a_sure_mistake_is_finite_and_one_class_is_enough_for_it() -> None:
    assert np.isfinite(selection_value([[1.0, 0.0], [1.0, 0.0]], [1, 1], "loss"))


def test_selection_never_returns_nan() -> None:
    with pytest.raises(ValueError, match="at least 2 classes, found 3 that all have class 0: stratify"):
        selection_value(two([0.1, 0.2, 0.3]), [0, 0, 0], "auc")
    with pytest.raises(ValueError, match="must be finite"):
        selection_value([[np.nan, np.nan], [0.5, 0.5]], [0, 1], "accuracy")
    with pytest.raises(ValueError, match="must be one of auc, accuracy, loss, auc_accuracy, found 'acc'"):
        selection_value(two([0.1, 0.9]), [0, 1], "acc")
