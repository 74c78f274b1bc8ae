# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scripts.engines.selection import PooledScore, SelectionScore
from sklearn.metrics import roc_auc_score


def validate(score: SelectionScore, probability: list[float], labels: list[int]) -> float:
    """Feed one validation in two batches and return the score."""
    score.reset()
    for part in (slice(0, 2), slice(2, None)):
        output = [
            {"pred": torch.tensor([1 - p, p]), "label": torch.tensor(y)}
            for p, y in zip(probability[part], labels[part], strict=True)
        ]
        score.update(score._output_transform(output))
    return score.compute()


def test_score_is_of_the_pooled_predictions_not_a_mean_over_batches():
    probability, labels = [0.9, 0.6, 0.7, 0.1, 0.2], [1, 0, 1, 0, 1]
    expected = roc_auc_score(labels, probability)
    assert validate(SelectionScore("auc"), probability, labels) == pytest.approx(expected)


def test_blog_rule_is_half_accuracy_half_auc():
    probability, labels = [0.9, 0.6, 0.7, 0.1, 0.2], [1, 0, 1, 0, 1]
    expected = 0.5 * roc_auc_score(labels, probability) + 0.5 * np.mean((np.array(probability) > 0.5) == labels)
    assert validate(SelectionScore("auc_accuracy"), probability, labels) == pytest.approx(expected)


def feed(score: SelectionScore, values: list[float]) -> list[float]:
    """Let the raw validation scores be `values`."""
    raw = iter(values)
    score._score = lambda *_: next(raw)
    score.compute_fn = score._score
    return [validate(score, [0.9, 0.6, 0.7], [1, 0, 1]) for _ in values]


def test_smoothing_keeps_a_constant_curve_constant():
    assert feed(SelectionScore("auc", smoothing=0.7), [1.0, 1.0, 1.0]) == pytest.approx([1.0, 1.0, 1.0])


def test_smoothing_is_the_bias_corrected_mean():
    beta, values = 0.6, [0.5, 0.9, 0.7]
    running, expected = 0.0, []
    for count, value in enumerate(values, 1):
        running = beta * running + (1 - beta) * value
        expected.append(running / (1 - beta**count))
    assert feed(SelectionScore("auc", smoothing=beta), values) == pytest.approx(expected)


def test_a_spike_does_not_win_when_smoothed():
    values = [0.5, 0.95, 0.5, 0.8, 0.85, 0.85]
    plain, smooth = SelectionScore("auc"), SelectionScore("auc", smoothing=0.7)
    feed(plain, values)
    feed(smooth, values)
    assert plain.best_validation == 2
    assert smooth.best_validation == 6


def test_nan_is_never_the_best_and_does_not_poison_what_follows():
    score = SelectionScore("auc")
    feed(score, [0.6, math.nan, 0.7])
    assert (score.best, score.best_validation) == (0.7, 3)


def test_state_continues_a_run():
    values = [0.5, 0.9, 0.7, 0.8]
    whole, first, second = (SelectionScore("auc", smoothing=0.5) for _ in range(3))
    expected = feed(whole, values)
    feed(first, values[:2])
    second.load_state_dict(first.state_dict())
    assert feed(second, values[2:]) == pytest.approx(expected[2:])
    assert (second.best, second.best_validation) == (whole.best, whole.best_validation)


def test_training_output_is_scored_without_decollation():
    score = PooledScore("accuracy")
    score.update(score._output_transform({"pred": torch.eye(3), "label": torch.tensor([0, 1, 0])}))
    assert score.compute() == pytest.approx(2 / 3)


def test_smoothing_of_one_is_refused():
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\), found 1"):
        SelectionScore("auc", smoothing=1.0)
