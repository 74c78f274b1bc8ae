# SPDX-License-Identifier: Apache-2.0
"""What the validation split decides: the best checkpoint, a temperature for the logits, a decision threshold."""

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
        ValueError: all cases have the same class, so no AUC is defined.
    """
    if len(np.unique(found.label)) < 2:
        raise ValueError(
            f"AUC needs cases of at least 2 classes, found {len(found.label)} that all have class "
            f"{found.label[0]}: stratify the split by class, or choose the checkpoint by loss"
        )
    return float(np.nanmean(found.of_each_class(weighted_auc)))


def accuracy(found: Weighted) -> float:
    """Return the share of cases whose true class has the highest probability (the first one in a tie)."""
    return float(overall_accuracy(found)[0])


SELECTION_RULES: dict[str, Callable[[Weighted], float]] = {
    "auc": macro_auc,
    "accuracy": accuracy,
    "loss": lambda found: -mean_log_loss(found.probability, found.label),
    "auc_accuracy": lambda found: 0.5 * accuracy(found) + 0.5 * macro_auc(found),
}
"""Rule for choosing a checkpoint on the validation split -> value to maximise."""


def selection_value(probabilities: ArrayLike, labels: ArrayLike, rule: str) -> float:
    """Compute the value by which the best checkpoint is chosen: higher is better, never NaN.

    Args:
        probabilities: [n, K], validation predictions.
        labels: [n], index of the true class.
        rule: "auc", "accuracy", "loss" (negative log loss) or "auc_accuracy" (0.5 accuracy + 0.5 AUC).

    Raises:
        ValueError: unknown rule; a rule with AUC if all cases have one class; NaN probabilities.

    >>> selection_value([[.9, .1], [.6, .4], [.7, .3], [.2, .8]], [0, 0, 1, 1], "auc_accuracy")
    0.75
    """
    if rule not in SELECTION_RULES:
        raise ValueError(f"selection rule must be one of {', '.join(SELECTION_RULES)}, found {rule!r}")
    probability = as_probabilities(probabilities)
    return SELECTION_RULES[rule](Weighted(probability, as_labels(labels, *probability.shape)))


LIMITS = (0.25, 10.0)  # Range of the temperature: from 4 times sharper to 10 times softer
FEWEST_CASES = 20  # With fewer validation cases no temperature is fitted
LIKELIHOOD_DROP = 1.92
"""Drop of the log-likelihood at the ends of a 95% interval: half the 0.95 quantile of chi-square (1 df)."""


def temperature_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the mean, over the V passes of a case, of the softmax of its logits divided by the temperature.

    The passes are the geometric variants of test-time augmentation, or just one: [n, V, K] -> [n, K].
    """
    from scipy.special import softmax

    return softmax(logits / temperature, axis=2).mean(axis=1)


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    r"""Find the temperature that maximises the likelihood of the true classes.

    .. math:: \hat T = \arg\min_T \; -\sum_i \log p_i(y_i; T), \quad
              p_i = \mathrm{mean}_v \, \mathrm{softmax}(z_{iv} / T)

    over log T, within `LIMITS`. If every pass of every case is right, the likelihood has no maximum (it keeps
    growing as T falls), so nothing can be learned and the result is 1.

    Shape:
        logits: [n, V, K], n >= 1, not yet divided by a temperature. label: [n].

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
    """Return the mean of -log p(true class) at a temperature: logits [n, V, K], label [n]."""
    found = temperature_probabilities(logits, temperature)[np.arange(len(label)), label]
    return -float(np.log(np.maximum(found, np.finfo(np.float64).tiny)).mean())


def trusted_temperature(logits: np.ndarray, label: np.ndarray) -> tuple[float, str]:
    """Return the fitted temperature if the cases support it, else 1 and the reason.

    They do if there are at least `FEWEST_CASES`, one of them is predicted wrong, and the 95% likelihood
    interval of the temperature does not contain both 1 and one of the `LIMITS`: then the cases neither need a
    temperature nor bound it. Arguments and errors as for `fit_temperature`; the reason is "" if it was fitted.
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


FEWEST_PER_CLASS = 5  # With fewer validation cases of a class no threshold is fitted
LEVEL = 0.05  # Largest probability of fitting a threshold where the classes do not differ


def youden_threshold(risk: np.ndarray, positive: np.ndarray) -> float:
    """Find the threshold on P(class) with the highest Youden's J = sensitivity + specificity - 1.

    It lies midway between two neighbouring predicted risks, so that rounding decides nothing. Of several equally
    good thresholds it is the one closest to 0.5. It is 0.5 if one of the two classes is missing, or if no
    threshold is better than chance.

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
    """Return Youden's threshold if the cases support it, else 0.5 and the reason.

    They do if each class has at least `FEWEST_PER_CLASS` cases and the risks of the classes differ by more than
    chance: Youden's J at its best threshold is the statistic of the one-sided Kolmogorov-Smirnov test. The
    reason is "" if the threshold was fitted.
    """
    from scipy.stats import ks_2samp

    fewest = min(int(positive.sum()), int((~positive).sum()))
    if fewest < FEWEST_PER_CLASS:
        return 0.5, f"a threshold needs {FEWEST_PER_CLASS} cases of each class"
    if ks_2samp(risk[positive], risk[~positive], alternative="less").pvalue >= LEVEL:
        return 0.5, "no threshold parts the classes by more than chance"
    return youden_threshold(risk, positive), ""
