# SPDX-License-Identifier: Apache-2.0
"""The best possible reader of the phantom: P(high | the phases at hand), from the generator's own equations.

With the pre-contrast phase the log-enhancements are known and the posterior is that of two Gaussians with
one covariance (linear discriminant analysis). Without it the baseline contrast is unknown and is integrated
over its normal prior, which is the only integral. The clinical table is not part of the image oracle; given
the class it is independent of the images, so its log-odds simply add up (`clinical_log_odds`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from workbench.prepare.phantom.latents import (
    AGE_SD_YEARS,
    AGE_YEARS,
    BASELINE_HU,
    BASELINE_SD_HU,
    CIRRHOSIS,
    CLASS_SHIFT,
    GAIN_SD,
    LOG_AFP,
    LOG_AFP_SD,
    LOG_ENHANCEMENT,
    MALE,
    PHASES,
    RESIDUAL_SD,
    draw_contrast_hu,
)
from workbench.prepare.telling import auc_of

QUADRATURE_NODES = 121


def phase_subsets() -> list[tuple[str, ...]]:
    """Every non-empty set of phases, small sets first."""
    return [subset for size in range(1, len(PHASES) + 1) for subset in combinations(PHASES, size)]


def probability(log_odds: np.ndarray | float) -> np.ndarray:
    """Log-odds -> probability, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(log_odds, dtype=float)))


def image_log_odds(contrast_hu: np.ndarray, phases: Sequence[str]) -> np.ndarray:
    """log P(high | contrast) - log P(low | contrast), using only `phases`; equal priors.

    Args:
        contrast_hu: lesion minus liver in HU; columns in `PHASES` order, those outside `phases` are not read.
        phases: the phases at hand; none gives 0.

    Shape:
        [N, 3] -> [N]

    Raises:
        ValueError: a phase the phantom does not have.

    >>> contrast = np.array([[-12.0, 40.0, 10.0], [-12.0, 20.0, 25.0]])
    >>> (image_log_odds(contrast, PHASES) > 0).tolist()
    [True, False]
    """
    unknown = sorted(set(phases) - set(PHASES))
    if unknown:
        raise ValueError(f"phases must be among {list(PHASES)}, found {unknown}: correct the phase names")
    contrast_hu = np.asarray(contrast_hu, dtype=float)
    enhanced = [phase for phase in PHASES[1:] if phase in phases]
    if not enhanced:
        return np.zeros(len(contrast_hu))
    if "pre" in phases:
        baseline, log_weight = contrast_hu[:, :1], np.zeros(1)
    else:
        node = np.linspace(-5.0, 5.0, QUADRATURE_NODES)
        baseline = np.broadcast_to(BASELINE_HU + BASELINE_SD_HU * node, (len(contrast_hu), node.size))
        log_weight = -0.5 * node**2
    enhancement = np.stack([contrast_hu[:, [PHASES.index(p)]] - baseline for p in enhanced], axis=-1)
    possible = (enhancement > 0).all(axis=-1)
    log_enhancement = np.log(np.where(enhancement > 0, enhancement, 1.0))
    precision = np.linalg.inv(RESIDUAL_SD**2 * np.eye(len(enhanced)) + GAIN_SD**2)
    log_density = []
    for sign in (-1.0, 1.0):
        mean = np.array([LOG_ENHANCEMENT[p] + sign * CLASS_SHIFT[p] for p in enhanced])
        centred = log_enhancement - mean
        exponent = -0.5 * np.einsum("nqi,ij,nqj->nq", centred, precision, centred)
        exponent += log_weight - log_enhancement.sum(axis=-1)
        log_density.append(_log_sum_exp(np.where(possible, exponent, -np.inf)))
    low, high = log_density
    explained = np.isfinite(low) & np.isfinite(high)
    return np.where(explained, np.where(explained, high, 0.0) - np.where(explained, low, 0.0), 0.0)


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    top = values.max(axis=-1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - safe[:, None]).sum(axis=-1)) + safe


def clinical_log_odds(clinical: Mapping[str, float | str]) -> float:
    """log P(high | table) - log P(low | table), over the values that are there; equal priors.

    >>> clinical_log_odds({})
    0.0
    """
    total = 0.0
    for name, mean, sd in (("age", AGE_YEARS, AGE_SD_YEARS), ("log_afp", LOG_AFP, LOG_AFP_SD)):
        if name in clinical:
            middle = 0.5 * (mean[0] + mean[1])
            total += (mean[1] - mean[0]) * (float(clinical[name]) - middle) / sd**2
    for name, positive, rate in (("sex", "M", MALE), ("cirrhosis", "yes", CIRRHOSIS)):
        if name in clinical:
            low, high = rate if clinical[name] == positive else (1.0 - rate[0], 1.0 - rate[1])
            total += float(np.log(high / low))
    return total


def oracle_auc(phases: Sequence[str] = PHASES, cases: int = 20_000, seed: int = 0) -> float:
    """AUC of the true posterior given `phases`, the ceiling of every classifier that sees them.

    Monte Carlo over `cases` draws of the latents (standard error about .004 at AUC .7, .0007 at .99); no
    images are made and the clinical table is not read.

    >>> oracle_auc(["pre"], cases=1000)
    0.5
    """
    rng = np.random.default_rng([seed, cases])
    label = np.arange(cases) % 2
    return auc_of(image_log_odds(draw_contrast_hu(rng, label), phases), label == 1)
