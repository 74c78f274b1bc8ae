# SPDX-License-Identifier: Apache-2.0
"""The interval of the calibration error holds 0 for a calibrated model, and the truth for another."""

from __future__ import annotations

import numpy as np
from scripts.metrics.rows import confidence_intervals


def drawn(n: int, seed: int, sharpening: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 77])
    p = rng.uniform(0.02, 0.98, n)
    label = (rng.random(n) < p).astype(int)
    odds = (p / (1 - p)) ** sharpening
    said = odds / (1 + odds)
    return np.stack([1 - said, said], axis=1), label


def intervals(sharpening: float, n: int = 200, runs: int = 60) -> list:
    return [confidence_intervals(*drawn(n, run, sharpening), draws=200)[-1]["ece"] for run in range(runs)]


def test_zero_is_inside_for_a_calibrated_model_though_its_error_is_above_zero() -> None:
    assert sum(found.lower == 0 for found in intervals(1.0)) >= 55
    assert sum(found.lower > 0 for found in intervals(4.0)) >= 58


def test_the_true_error_of_an_overconfident_model_is_inside() -> None:
    probabilities, labels = drawn(200_000, 1, 2.0)
    gaps = []
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gaps.append(abs(right[inside].mean() - confidence[inside].mean()) * inside.mean())
    assert sum(found.lower <= sum(gaps) <= found.upper for found in intervals(2.0)) >= 53
