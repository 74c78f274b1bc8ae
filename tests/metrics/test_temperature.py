# SPDX-License-Identifier: Apache-2.0
"""Temperature and threshold, fitted on a validation split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.metrics.calibration import (
    LIMITS,
    fit_temperature,
    temperature_probabilities,
    trusted_temperature,
    trusted_threshold,
    youden_threshold,
)
from sklearn.metrics import roc_auc_score, roc_curve


def calibrated(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the probability by which the labels are drawn: [n, 1, K]."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 1, k))
    p = temperature_probabilities(logits, 1.0)
    return logits, (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=k - 1)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_factor_by_which_logits_were_blown_up_is_found(k: int, factor: float) -> None:
    logits, label = calibrated(20_000, k)
    assert fit_temperature(logits * factor, label) == pytest.approx(factor, rel=0.05)


def test_it_is_the_minimum_of_torchs_cross_entropy_by_lbfgs() -> None:
    logits, label = calibrated(300, 3)
    z, y = torch.tensor(3 * logits[:, 0]), torch.tensor(label)
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z / log_t.exp(), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert fit_temperature(3 * logits, label) == pytest.approx(float(log_t.exp()), rel=1e-5)


def test_tiny_and_separated_splits_are_safe() -> None:
    right = np.array([[[3.0, 0.0]], [[0.0, 9.0]]])
    assert fit_temperature(right, np.array([0, 1])) == 1.0, "the likelihood has no maximum"
    assert fit_temperature(right, np.array([1, 0])) == pytest.approx(LIMITS[1], rel=1e-3), "worse than chance"
    nearly = np.concatenate([np.tile(right, (20, 1, 1)), [[[0.0, 1e-3]]]])
    found = fit_temperature(nearly, np.array([0, 1] * 20 + [0]))
    assert LIMITS[0] <= found < 1
    huge = fit_temperature(np.array([[[5e4, 0.0]], [[0.0, 5e4]], [[5e4, 0.0]]]), np.array([0, 1, 1]))
    assert huge == pytest.approx(LIMITS[1], rel=1e-3)
    with pytest.raises(ValueError, match="must be finite to fit a temperature"):
        fit_temperature(np.full((2, 1, 2), np.nan), np.array([0, 1]))


def test_few_cases_give_no_temperature_and_say_why() -> None:
    logits, label = calibrated(4000, 2)
    assert trusted_temperature(3 * logits, label) == (fit_temperature(3 * logits, label), "")
    two = np.array([[[0.5, 0.0]], [[0.0, 0.6]]])
    wrong = np.array([[[0.5, 0.0]], [[0.3, 0.2]]])
    assert fit_temperature(two, np.array([0, 1])) == 1.0
    assert trusted_temperature(wrong, np.array([0, 1])) == (1.0, "a temperature needs 20 cases")
    assert trusted_temperature(3 * logits[:19], label[:19])[0] == 1.0
    right = np.tile(two, (20, 1, 1))
    assert trusted_temperature(right, np.array([0, 1] * 20)) == (1.0, "every case is predicted right")


def test_cases_that_hardly_bound_the_temperature_leave_it_at_1() -> None:
    """One wrong case, barely, among 24 far ones: 0.25 and 1 explain them about as well as what fits best."""
    logits = np.tile([[[4.0, 0.0]], [[0.0, 4.0]]], (12, 1, 1))
    label = np.array([0, 1] * 12)
    logits[0] = [[0.0, 0.1]]
    assert fit_temperature(logits, label) < 0.9
    temperature, reason = trusted_temperature(logits, label)
    assert temperature == 1.0
    assert reason.startswith("1 and 0.25 fit the cases about as well as 0.")
    blown, truth = calibrated(40, 2, seed=3)
    assert trusted_temperature(6 * blown, truth)[1] == "", "40 cases that are far too sure tell it"


def test_several_passes_are_averaged_as_probabilities() -> None:
    logits, label = calibrated(400, 3)
    views = np.concatenate([logits, 0.3 * logits[:, :, ::-1]], axis=1) * 2
    found = fit_temperature(views, label)
    grid = np.geomspace(0.3, 9, 2000)
    each = np.arange(len(label))
    loss = [-np.log(temperature_probabilities(views, t)[each, label]).mean() for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(loss))], rel=0.005)


def test_it_leaves_the_auc_and_the_predicted_class_alone() -> None:
    logits, label = calibrated(500, 2)
    before, after = temperature_probabilities(logits, 1.0), temperature_probabilities(logits, 2.7)
    assert roc_auc_score(label, before[:, 1]) == roc_auc_score(label, after[:, 1])
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()


def test_the_threshold_has_the_highest_youden_of_the_roc() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(150) < 0.3
    risk = np.round(rng.beta(2, 5, 150) + 0.2 * positive, 2)
    threshold = youden_threshold(risk, positive)
    false_positive, sensitivity, _ = roc_curve(positive, risk)
    reached = (risk >= threshold)[positive].mean() - (risk >= threshold)[~positive].mean()
    assert reached == pytest.approx((sensitivity - false_positive).max())
    assert threshold not in risk


def test_a_threshold_that_nothing_speaks_for_is_a_half() -> None:
    yes = np.array([False, True])
    assert youden_threshold(np.array([0.2, 0.9]), np.array([True, True])) == 0.5
    assert youden_threshold(np.array([0.3, 0.3]), yes) == 0.5
    assert youden_threshold(np.array([0.9, 0.2]), yes) == 0.5, "the wrong way round"
    assert youden_threshold(np.array([0.1, 0.3, 0.5, 0.8]), np.array([0, 1, 0, 1], dtype=bool)) == 0.65


def test_a_threshold_is_taken_only_where_the_classes_differ_by_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    apart = rng.normal(size=60) + 2.0 * positive
    assert trusted_threshold(apart, positive) == (youden_threshold(apart, positive), "")
    assert trusted_threshold(-apart, positive)[0] == 0.5, "the wrong way round"
    few = np.r_[np.full(4, True), np.full(40, False)]
    assert trusted_threshold(few.astype(float), few) == (0.5, "a threshold needs 5 cases of each class")
    taken = [trusted_threshold(rng.normal(size=30), np.arange(30) % 2 == 0)[0] != 0.5 for _ in range(400)]
    assert np.mean(taken) < 0.08, "by chance, at most in 5% of splits"
