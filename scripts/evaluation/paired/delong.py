"""DeLong's test: do two models have different AUCs on the same cases?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import as_labels, as_pair
from scripts.evaluation.delong import auc_covariance
from scripts.evaluation.interval import LEVEL
from scripts.evaluation.metrics import class_scores
from scripts.evaluation.paired.comparison import Comparison
from scripts.evaluation.resampling import number_patients

METHOD = "DeLong"


def delong_test(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, patients: Sequence[str] | None = None
) -> Comparison:
    r"""Test whether two models have the same AUC: with more than two classes, the same mean over the classes.

    .. math:: z = \frac{A_1 - A_2}{\sqrt{\mathrm{var}(A_1) + \mathrm{var}(A_2) - 2\,\mathrm{cov}(A_1, A_2)}}

    with the covariance of `auc_covariance`, which takes the cases of a patient as belonging together
    (Obuchowski), and a normal distribution of z.

    Args:
        first, second: probabilities of the two models, rows in the same order.
        labels: index of the true class of each case.
        patients: the patient of each case; without it every case counts as one patient.

    Shape:
        first and second: [n, K]. labels: [n].

    Returns:
        The comparison; without p-value and interval where the variance is 0 though the AUCs differ, or where
        it needs more patients.

    Raises:
        ValueError: as for `classification_table`; all cases of one class; different shapes.

    Reference: DeLong et al., Biometrics 44, 1988. Obuchowski, Biometrics 53, 1997.
    """
    from scipy.stats import norm

    one, other = as_pair(first, second)
    label = as_labels(labels, *one.shape)
    found = np.unique(label)
    if len(found) < 2:
        raise ValueError(f"DeLong's test needs cases of at least 2 classes, found only class {found[0]}")
    chosen = np.array([1]) if one.shape[1] == 2 else found
    scores = np.hstack([class_scores(one)[:, chosen], class_scores(other)[:, chosen]])
    positive = np.tile(label[:, None] == chosen, (1, 2))
    aucs, covariance = auc_covariance(scores, positive, number_patients(patients, len(label)))
    contrast = np.repeat([1.0, -1.0], len(chosen)) / len(chosen)
    difference, variance = float(contrast @ aucs), float(contrast @ covariance @ contrast)
    a, b = (float(part.mean()) for part in np.split(aucs, 2))
    if not np.isfinite(variance):
        note = "needs at least 2 patients with each class and 2 without it"
        return Comparison(a, b, difference, None, None, None, METHOD, note)
    if variance < 1e-15:
        if abs(difference) < 1e-12:
            return Comparison(a, b, 0.0, 0.0, 0.0, 1.0, METHOD, "the two order all cases alike")
        note = "the variance is 0 though the AUCs differ: use the bootstrap"
        return Comparison(a, b, difference, None, None, None, METHOD, note)
    error = float(np.sqrt(variance))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    p_value = float(2 * norm.sf(abs(difference) / error))
    return Comparison(a, b, difference, difference - half, difference + half, p_value, METHOD)
