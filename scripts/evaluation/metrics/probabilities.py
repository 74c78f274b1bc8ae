"""How far the probabilities are from the truth: Brier score and expected calibration error."""

from __future__ import annotations

import numpy as np

BINS = 15
"""Bins of the expected calibration error, equally wide, from 0 to 1; the number of Guo et al."""


def brier_score(probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute the mean squared error of the probabilities; lower is better.

    With more than two classes it is the mean over cases of the sum over classes of (p_k - [y = k])², from 0
    to 2; with two classes, as usual, (p - y)² of one class, from 0 to 1, which is half of that sum.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78,
        1950.

    Example:
        >>> brier_score(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1]))
        array([0.15625])
    """
    size = probability.shape[1]
    error = np.square(probability - np.eye(size)[label]).sum(axis=1) / (2 if size == 2 else 1)
    w = np.ones((1, len(label))) if weights is None else weights
    return w @ error / w.sum(axis=1)


def confidence_bins(probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability of each case and its bin: bin b holds (b / 15, (b + 1) / 15].

    Shape:
        probability: [n, K]. Results: [n], [n].
    """
    confidence = probability.max(axis=1)
    return confidence, np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def expected_calibration_error(
    probability: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute how far confidence and accuracy are apart on average; lower is better.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \left| \mathrm{acc}_b - \mathrm{conf}_b \right|

    over 15 equally wide bins of the confidence, the probability of the predicted class. It is biased upwards:
    with few cases per bin, even a perfectly calibrated model has an error above 0.

    Args:
        probability: one row per case.
        label: index of the true class of each case.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        probability: [n, K]. label: [n]. weights: [R, n]. Result: [R], or [1] without weights.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.

    Example:
        >>> expected_calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).round(6)
        array([0.3])
    """
    confidence, number = confidence_bins(probability)
    gap = (probability.argmax(axis=1) == label) - confidence
    w = np.ones((1, len(label))) if weights is None else weights
    per_bin = w @ (np.eye(BINS)[number] * gap[:, None])
    return np.abs(per_bin).sum(axis=1) / w.sum(axis=1)


def mean_log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Compute the mean of -log p(true class), which no probability but the true one makes smaller.

    Shape:
        probability: [n, K]. label: [n].

    Example:
        >>> round(mean_log_loss(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])), 6)
        0.490415
    """
    from sklearn.metrics import log_loss

    normalised = probability / probability.sum(axis=1, keepdims=True)
    return float(log_loss(label, normalised, labels=np.arange(probability.shape[1])))
