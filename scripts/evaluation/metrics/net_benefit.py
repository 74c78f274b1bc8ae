"""What a decision at a threshold is worth."""

from __future__ import annotations

import numpy as np


def net_benefit(
    risk: np.ndarray, positive: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    r"""Compute the net benefit of treating every case whose predicted risk reaches a threshold.

    .. math:: \mathrm{NB}(t) = \frac{TP}{n} - \frac{FP}{n} \cdot \frac{t}{1 - t}

    in units of true positives per case: who would treat at risk t takes one missed case to be as bad as
    (1 - t) / t unnecessary treatments. Treating nobody is worth 0; treating everybody is `risk` all 1.

    Args:
        risk: P(class) of each case.
        positive: whether the case has the class.
        thresholds: from 0 to below 1.
        weights: one weighting of the cases per row; None: every case counts once.

    Shape:
        risk: [n]. positive: [n] bool. thresholds: [T]. weights: [R, n]. Result: [R, T], or [1, T].

    Reference: Vickers and Elkin, Decision curve analysis, Medical Decision Making 26, 2006.

    Example:
        >>> risk, positive = np.array([0.1, 0.4, 0.3, 0.9]), np.array([False, False, True, True])
        >>> net_benefit(risk, positive, np.array([0.2])).round(4)  # 2 / 4 - 1 / 4 * 0.25
        array([[0.4375]])
    """
    called = risk[:, None] >= thresholds
    worth = np.where(positive[:, None], 1.0, -thresholds / (1 - thresholds))
    w = np.ones((1, len(risk))) if weights is None else weights
    return w @ (called * worth) / w.sum(axis=1, keepdims=True)
