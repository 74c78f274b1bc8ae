"""The threshold of a decision between two classes."""

from __future__ import annotations

import numpy as np

FEWEST_CASES = 5
"""Validation cases of each class below which no threshold is fitted."""
LEVEL = 0.05
"""Chance, at most, that a threshold is taken where the classes do not differ."""


def youden_threshold(risk: np.ndarray, positive: np.ndarray) -> float:
    """Find the threshold on P(class) with the highest sensitivity + specificity - 1, Youden's J.

    It lies in the middle between the lowest risk that is called positive and the next lower one, so that
    rounding decides nothing. Of several equally good ones it is the one nearest to 0.5. It is 0.5 where one
    of the two classes is missing, or no threshold is better than none.

    Args:
        risk: P(class) of each case.
        positive: whether the case has the class.

    Shape:
        risk: [n]. positive: [n] bool.

    Reference: Youden, Index for rating diagnostic tests, Cancer 3, 1950.

    Example:
        >>> youden_threshold(np.array([0.1, 0.2, 0.3, 0.6]), np.array([False, False, True, True]))
        0.25
    """
    values = np.unique(risk)
    if positive.all() or not positive.any() or len(values) < 2:
        return 0.5
    between = (values[1:] + values[:-1]) / 2
    missed = np.searchsorted(np.sort(risk[positive]), between) / positive.sum()
    spared = np.searchsorted(np.sort(risk[~positive]), between) / (~positive).sum()
    youden = spared - missed
    best = between[youden > youden.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()]) if youden.max() > 1e-12 else 0.5


def trusted_threshold(risk: np.ndarray, positive: np.ndarray) -> tuple[float, str]:
    """Return Youden's threshold where the cases can tell it, else 0.5 and why.

    They can with `FEWEST_CASES` cases or more of each class, whose risks differ by more than chance explains:
    Youden's J at its best threshold is the statistic of the one-sided Kolmogorov-Smirnov test.

    Args:
        risk, positive: as for `youden_threshold`.

    Returns:
        The threshold, and in words why it is 0.5; "" where it was fitted.
    """
    from scipy.stats import ks_2samp

    fewest = min(int(positive.sum()), int((~positive).sum()))
    if fewest < FEWEST_CASES:
        return 0.5, f"a threshold needs {FEWEST_CASES} cases of each class"
    if ks_2samp(risk[positive], risk[~positive], alternative="less").pvalue >= LEVEL:
        return 0.5, "no threshold parts the classes by more than chance"
    return youden_threshold(risk, positive), ""
