# SPDX-License-Identifier: Apache-2.0
"""The metrics under many weightings at once are scikit-learn's under each weighting."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scripts.metrics.registry import METRICS, OVERALL, weighted_scores
from scripts.metrics.rows import classification_table, confidence_intervals
from scripts.metrics.scores import net_benefit, predicted_class
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    recall_score,
    roc_auc_score,
)


def sample(k: int, n: int = 60, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Rounded probabilities, so that there are ties."""
    rng = np.random.default_rng(k)
    label = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    score = np.exp(rng.normal(size=(n, k)) + 1.2 * np.eye(k)[label])
    p = np.round(score / score.sum(axis=1, keepdims=True), digits)
    p[:, 0] = 1 - p[:, 1:].sum(axis=1)
    return p, label


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_every_metric_is_scikit_learns_with_sample_weight(k: int, threshold: float | None) -> None:
    if threshold is not None and k > 2:
        pytest.skip("a threshold is for two classes")
    p, label = sample(k)
    weights = np.random.default_rng(9).integers(0, 4, (25, len(label))).astype(float)
    found = weighted_scores(p, label, weights, threshold)
    predicted = predicted_class(p, threshold)
    for r, w in enumerate(weights):
        for c in range(k):
            is_it, said, score = label == c, predicted == c, p[:, c] if k > 2 else (2 * c - 1) * p[:, 1]
            expected = {
                "auc": roc_auc_score(is_it, score, sample_weight=w),
                "average_precision": average_precision_score(is_it, score, sample_weight=w),
                "accuracy": accuracy_score(is_it, said, sample_weight=w),
                "balanced_accuracy": balanced_accuracy_score(is_it, said, sample_weight=w),
                "sensitivity": recall_score(is_it, said, sample_weight=w),
                "specificity": recall_score(is_it, said, pos_label=False, sample_weight=w),
                "f1": f1_score(is_it, said, sample_weight=w, zero_division=0),
            }
            assert {name: found[name][r, c] for name in METRICS} == pytest.approx(expected, abs=1e-12)
        brier = p if k > 2 else p[:, 1]
        macro = {
            "accuracy": accuracy_score(label, predicted, sample_weight=w),
            "balanced_accuracy": balanced_accuracy_score(label, predicted, sample_weight=w),
            "f1": f1_score(label, predicted, average="macro", sample_weight=w),
            "kappa": cohen_kappa_score(label, predicted, sample_weight=w),
            "quadratic_kappa": cohen_kappa_score(label, predicted, weights="quadratic", sample_weight=w),
            "grade_error": mean_absolute_error(label, predicted, sample_weight=w),
            "brier": brier_score_loss(label, brier, sample_weight=w, labels=np.arange(k)),
        }
        assert {name: found[name][r, -1] for name in macro} == pytest.approx(macro, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_equal_weights_give_the_table(k: int) -> None:
    p, label = sample(k)
    *rows, macro = classification_table(p, label, [f"c{i}" for i in range(k)])
    found = weighted_scores(p, label, np.ones((1, len(label))))
    for name in METRICS:
        expected = [*(row[name] for row in rows), macro[name]]
        assert found[name][0].tolist() == pytest.approx(expected, abs=1e-12)
    assert {name: found[name][0, 0] for name in OVERALL} == pytest.approx({n: macro[n] for n in OVERALL})


def test_the_calibration_error_by_hand_and_by_a_loop_over_bins() -> None:
    p, label = sample(3, 200, digits=6)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == label
    w = np.random.default_rng(0).integers(0, 4, len(label)).astype(float)
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if (w * inside).any():
            accuracy = np.average(right[inside], weights=w[inside])
            expected += (w * inside).sum() / w.sum() * abs(accuracy - np.average(confidence[inside], weights=w[inside]))
    assert weighted_scores(p, label, w[None])["ece"][0, 0] == pytest.approx(expected)
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert classification_table(sure, [0, 0, 1, 1], ["a", "b"])[-1]["ece"] == pytest.approx(0.25)


def test_the_net_benefit_by_hand() -> None:
    risk, positive = np.array([0.1, 0.4, 0.3, 0.9, 0.05]), np.array([0, 0, 1, 1, 1], dtype=bool)
    found = net_benefit(risk, positive, np.array([0.0, 0.2, 0.35, 0.95]))[0]
    assert found.tolist() == pytest.approx([3 / 5, 2 / 5 - 1 / 5 * 0.25, 1 / 5 - 1 / 5 * 0.35 / 0.65, 0.0])
    everybody = net_benefit(np.ones(5), positive, np.array([0.2]))[0, 0]
    assert everybody == pytest.approx(0.6 - 0.4 * 0.25)
    w = np.array([[1.0, 2.0, 0.0, 1.0, 1.0]])
    twice = np.array([0, 1, 1, 3, 4])
    assert net_benefit(risk, positive, np.array([0.2]), w) == pytest.approx(
        net_benefit(risk[twice], positive[twice], np.array([0.2]))
    )


def test_a_draw_without_a_class_has_no_macro_value_but_the_overall_ones() -> None:
    p, label = sample(3)
    found = weighted_scores(p, label, (label != 2).astype(float)[None])
    assert np.isnan(found["auc"][0]).tolist() == [False, False, True, True]
    assert np.isnan(found["specificity"][0]).tolist() == [False] * 4
    assert np.isfinite(found["accuracy"]).all()
    assert np.isfinite(found["brier"]).all()


def test_a_thousand_draws_of_a_thousand_cases_take_seconds() -> None:
    p, label = sample(5, 1000, digits=6)
    start = time.process_time()
    confidence_intervals(p, label, draws=1000)
    assert time.process_time() - start < 15, "about 2 s on one core of a laptop"
