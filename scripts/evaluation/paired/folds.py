"""Two models over the folds of a cross-validation, whose training sets overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scripts.evaluation.interval import LEVEL
from scripts.evaluation.paired.comparison import Comparison

METHOD = "corrected resampled t-test"


def corrected_t_test(
    first: Sequence[float], second: Sequence[float], n_train: float, n_test: float
) -> Comparison:
    r"""Test whether two models differ on average over k folds or resamples of one dataset.

    .. math:: t = \bar d \Big/ \sqrt{\left(\frac{1}{k} + \frac{n_2}{n_1}\right) s_d^2}, \quad k - 1
              \text{ degrees of freedom}

    The plain paired t-test takes the folds for independent and is far too sure; the added
    :math:`n_2 / n_1` accounts for the training cases that they share. A site that is left out repeatedly is
    one fold: average over its repeats first.

    Args:
        first, second: the metric of each model in each fold, in the same order.
        n_train: training patients per fold, on average.
        n_test: test patients per fold, on average.

    Raises:
        ValueError: fewer than 2 folds, lists of different length, a value that is not finite, no cases.

    Reference: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003.

    Example:
        >>> found = corrected_t_test([0.80, 0.82, 0.85, 0.79, 0.84], [0.78, 0.79, 0.84, 0.80, 0.81], 80, 20)
        >>> round(found.difference, 3), round(found.p_value, 3)
        (0.016, 0.227)
    """
    from scipy.stats import t

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"both models need one value for each of the same 2 or more folds, found {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("the metric of a fold must be finite; leave folds out in which it is undefined")
    if n_train <= 0 or n_test <= 0:
        raise ValueError(f"n_train and n_test must be above 0, found {n_train} and {n_test}")
    difference = a - b
    mean, k = float(difference.mean()), len(difference)
    error = math.sqrt((1 / k + n_test / n_train) * float(difference.var(ddof=1)))
    values = float(a.mean()), float(b.mean()), mean
    if error < 1e-15:
        if abs(mean) < 1e-12:
            return Comparison(*values, 0.0, 0.0, 1.0, METHOD, "the two are equal in every fold")
        note = "the difference is the same in every fold, so that its spread is not known"
        return Comparison(*values, None, None, None, METHOD, note)
    half = float(t.ppf((1 + LEVEL) / 2, k - 1)) * error
    p_value = float(2 * t.sf(abs(mean) / error, k - 1))
    return Comparison(*values, mean - half, mean + half, p_value, METHOD)
