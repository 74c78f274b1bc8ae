# SPDX-License-Identifier: Apache-2.0
"""What the validation split decides: the best checkpoint, one temperature for all logits, a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scripts.metrics.predictions import as_labels, as_probabilities
from scripts.metrics.registry import Weighted, overall_accuracy
from scripts.metrics.scores import mean_log_loss, weighted_auc


def macro_auc(found: Weighted) -> float:
    """Return the mean one-vs-rest AUC over the classes that have cases; for K = 2, the AUC.

    Raises:
        ValueError: all cases have one class, so that no AUC is defined.
    """
    if len(np.unique(found.label)) < 2:
        raise ValueError(
            f"AUC needs cases of at least 2 classes, found {len(found.label)} that all have class "
            f"{found.label[0]}: stratify the split by class, or choose the checkpoint by loss"
        )
    return float(np.nanmean(found.of_each_class(weighted_auc)))


def accuracy(found: Weighted) -> float:
    """Return the share of cases whose true class has the highest probability (of equal ones, the first)."""
    return float(overall_accuracy(found)[0])


SELECTION_RULES: dict[str, Callable[[Weighted], float]] = {
    "auc": macro_auc,
    "accuracy": accuracy,
    "loss": lambda found: -mean_log_loss(found.probability, found.label),
    "auc_accuracy": lambda found: 0.5 * accuracy(found) + 0.5 * macro_auc(found),
}
"""How a checkpoint may be chosen on the validation split: name -> value, of which the highest wins."""


def selection_value(probabilities: ArrayLike, labels: ArrayLike, rule: str) -> float:
    """Compute the number by which the best checkpoint is chosen: higher is better, and it is never NaN.

    Args:
        probabilities: [n, K], validation predictions.
        labels: [n], index of the true class.
        rule: "auc", "accuracy", "loss" (negative log loss) or "auc_accuracy" (0.5 accuracy + 0.5 AUC).

    Raises:
        ValueError: unknown rule; a rule with AUC where all cases have one class; NaN probabilities.

    >>> selection_value([[.9, .1], [.6, .4], [.7, .3], [.2, .8]], [0, 0, 1, 1], "auc_accuracy")
    0.75
    """
    if rule not in SELECTION_RULES:
        raise ValueError(f"selection rule must be one of {', '.join(SELECTION_RULES)}, found {rule!r}")
    probability = as_probabilities(probabilities)
    return SELECTION_RULES[rule](Weighted(probability, as_labels(labels, *probability.shape)))


LIMITS = (0.25, 10.0)  # The temperature is kept within: a factor of 4 sharper, a factor of 10 softer
FEWEST_CASES = 20  # Validation cases below which no temperature is fitted
LIKELIHOOD_DROP = 1.92
"""Fall of the log-likelihood at the ends of a 95% interval: half the 0.95 quantile of chi-square (1)."""


def temperature_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the mean, over the V passes of a case, of the softmax of its logits divided by the temperature.

    The passes are one, or several geometric variants of test-time augmentation: [n, V, K] -> [n, K].
    """
    from scipy.special import softmax

    return softmax(logits / temperature, axis=2).mean(axis=1)


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    r"""Find the temperature under which the true classes are most probable.

    .. math:: \hat T = \arg\min_T \; -\sum_i \log p_i(y_i; T), \quad
              p_i = \mathrm{mean}_v \, \mathrm{softmax}(z_{iv} / T)

    over log T, within `LIMITS`. Where every pass of every case is right, the likelihood has no maximum (a
    smaller temperature is always better, and none is too small), so that nothing can be learned: 1.

    Shape:
        logits: [n, V, K], n >= 1, before any division. label: [n].

    Raises:
        ValueError: logits that are not finite.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, dtype=np.float64)
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite to fit a temperature, found NaN or infinity: training diverged")
    if (logits.argmax(axis=2) == label[:, None]).all():
        return 1.0

    bounds = (math.log(LIMITS[0]), math.log(LIMITS[1]))
    best = minimize_scalar(
        lambda log_temperature: log_loss(logits, label, math.exp(log_temperature)),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(float(best.x))


def log_loss(logits: np.ndarray, label: np.ndarray, temperature: float) -> float:
    """Return the mean of -log p(true class) under a temperature: logits [n, V, K], label [n]."""
    found = temperature_probabilities(logits, temperature)[np.arange(len(label)), label]
    return -float(np.log(np.maximum(found, np.finfo(np.float64).tiny)).mean())


def trusted_temperature(logits: np.ndarray, label: np.ndarray) -> tuple[float, str]:
    """Return the fitted temperature where the cases can tell it, else 1 and why.

    They can with `FEWEST_CASES` cases or more, one of which is predicted wrong, unless its 95% interval by
    the likelihood holds both 1 and one of the `LIMITS`: then the cases neither need a temperature nor bound
    it. Arguments and errors are those of `fit_temperature`; the reason is "" where it was fitted.
    """
    logits = np.asarray(logits, dtype=np.float64)
    fitted = fit_temperature(logits, label)
    if len(label) < FEWEST_CASES:
        return 1.0, f"a temperature needs {FEWEST_CASES} cases"
    if (logits.argmax(axis=2) == label[:, None]).all():
        return 1.0, "every case is predicted right"
    least = len(label) * log_loss(logits, label, fitted)

    def fits(temperature: float) -> bool:
        return len(label) * log_loss(logits, label, temperature) - least < LIKELIHOOD_DROP

    for limit in LIMITS:
        if fits(1.0) and fits(limit):
            return 1.0, f"1 and {limit:g} fit the cases about as well as {fitted:.2f}"
    return fitted, ""


FEWEST_PER_CLASS = 5  # Validation cases of each class below which no threshold is fitted
LEVEL = 0.05  # Chance, at most, that a threshold is taken where the classes do not differ


def youden_threshold(risk: np.ndarray, positive: np.ndarray) -> float:
    """Find the threshold on P(class) with the highest sensitivity + specificity - 1, Youden's J.

    It lies in the middle between the lowest risk that is called positive and the next lower one, so that
    rounding decides nothing. Of several equally good ones it is the one nearest to 0.5. It is 0.5 where one
    of the two classes is missing, or no threshold is better than none.

    Reference: Youden, Index for rating diagnostic tests, Cancer 3, 1950.

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

    They can with `FEWEST_PER_CLASS` cases or more of each class, whose risks differ by more than chance
    explains: Youden's J at its best threshold is the statistic of the one-sided Kolmogorov-Smirnov test. The
    reason is "" where the threshold was fitted.
    """
    from scipy.stats import ks_2samp

    fewest = min(int(positive.sum()), int((~positive).sum()))
    if fewest < FEWEST_PER_CLASS:
        return 0.5, f"a threshold needs {FEWEST_PER_CLASS} cases of each class"
    if ks_2samp(risk[positive], risk[~positive], alternative="less").pvalue >= LEVEL:
        return 0.5, "no threshold parts the classes by more than chance"
    return youden_threshold(risk, positive), ""
