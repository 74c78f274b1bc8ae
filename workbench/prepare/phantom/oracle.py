# SPDX-License-Identifier: Apache-2.0
"""The truth about a phantom case before any voxel is drawn, and its best possible reader, the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from workbench.prepare.telling import auc_of

PHASES = ("pre", "arterial", "portal")
REFERENCE = "portal"
CLASSES = ("low", "high")
SITES = ("A", "B", "C")
CLINICAL = (
    {"name": "age", "unit": "years", "kind": "number"},
    {"name": "sex", "kind": "category", "values": ["F", "M"]},
    {"name": "log_afp", "unit": "log10(ng/mL)", "kind": "number"},
    {"name": "cirrhosis", "kind": "category", "values": ["no", "yes"]},
)

BASELINE_HU = -12.0
BASELINE_SD_HU = 6.0
LOG_ENHANCEMENT = {"arterial": math.log(40.0), "portal": math.log(30.0)}
CLASS_SHIFT = {"arterial": 0.28, "portal": -0.28}
GAIN_SD = 0.61
RESIDUAL_SD = 0.18

AGE_YEARS, AGE_SD_YEARS = (60.5, 63.5), 10.0
LOG_AFP, LOG_AFP_SD = (1.05, 1.45), 0.8
MALE = (0.62, 0.72)
CIRRHOSIS = (0.45, 0.60)

PHASE_MISSING = {"pre": 0.18, "arterial": 0.06, "portal": 0.06}
VALUE_MISSING = 0.15


@dataclass(frozen=True)
class Latents:
    """The truth about one case."""

    label: int  # index into `CLASSES`
    # lesion minus surrounding liver in HU, in `PHASES` order, absent phases included
    contrast_hu: tuple[float, ...]
    present: tuple[bool, ...]  # whether each phase was acquired; at least one is
    clinical: dict[str, float | str]  # the values that are not missing, by name
    site: str  # where the patient was scanned

    def present_phases(self) -> list[str]:
        return [phase for phase, there in zip(PHASES, self.present, strict=True) if there]


def case_rng(seed: int, index: int, purpose: str) -> np.random.Generator:
    """The random stream of one case for one purpose: it depends on (seed, index, purpose) alone."""
    return np.random.default_rng([seed, index, *purpose.encode()])


def case_label(seed: int, index: int) -> int:
    """Cases 2k and 2k+1 are one low and one high, in random order: any even-sized run of cases is balanced.

    >>> [case_label(0, i) + case_label(0, i + 1) for i in range(0, 10, 2)]
    [1, 1, 1, 1, 1]
    """
    first = int(case_rng(seed, index // 2, "label").integers(2))
    return first if index % 2 == 0 else 1 - first


def draw_contrast_hu(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Lesion contrast of many cases at once.

    Shape:
        label [N] -> [N, 3] in HU, in `PHASES` order.
    """
    sign = 2.0 * np.asarray(label) - 1.0
    gain = GAIN_SD * rng.standard_normal(sign.shape)
    baseline = BASELINE_HU + BASELINE_SD_HU * rng.standard_normal(sign.shape)
    columns = [baseline]
    for phase in PHASES[1:]:
        residual = RESIDUAL_SD * rng.standard_normal(sign.shape)
        log_enhancement = LOG_ENHANCEMENT[phase] + gain + sign * CLASS_SHIFT[phase] + residual
        columns.append(baseline + np.exp(log_enhancement))
    return np.stack(columns, axis=-1)


def draw_clinical(rng: np.random.Generator, label: int) -> dict[str, float | str]:
    """A clinical table row, about 15% of its values missing; independent of the images given the class."""
    values: dict[str, float | str] = {
        "age": int(np.clip(round(rng.normal(AGE_YEARS[label], AGE_SD_YEARS)), 18, 95)),
        "sex": "M" if rng.random() < MALE[label] else "F",
        "log_afp": round(float(rng.normal(LOG_AFP[label], LOG_AFP_SD)), 2),
        "cirrhosis": "yes" if rng.random() < CIRRHOSIS[label] else "no",
    }
    kept = rng.random(len(values)) >= VALUE_MISSING
    return {name: value for (name, value), keep in zip(values.items(), kept, strict=True) if keep}


def draw_latents(seed: int, index: int) -> Latents:
    """Everything that is true about case `index` of the phantom with this seed."""
    label = case_label(seed, index)
    rng = case_rng(seed, index, "latents")
    contrast = draw_contrast_hu(rng, np.array([label]))[0]
    present = rng.random(len(PHASES)) >= np.array([PHASE_MISSING[phase] for phase in PHASES])
    if not present.any():
        present[PHASES.index(REFERENCE)] = True
    site = SITES[int(rng.integers(len(SITES)))]
    clinical = draw_clinical(rng, label)
    return Latents(label, tuple(contrast.tolist()), tuple(present.tolist()), clinical, site)


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
        # the unknown baseline is integrated out over its normal distribution, up to 5 standard deviations
        node = np.linspace(-5.0, 5.0, QUADRATURE_NODES)
        baseline = np.broadcast_to(BASELINE_HU + BASELINE_SD_HU * node, (len(contrast_hu), node.size))
        log_weight = -0.5 * node**2
    enhancement = np.stack([contrast_hu[:, [PHASES.index(p)]] - baseline for p in enhanced], axis=-1)
    possible = (enhancement > 0).all(axis=-1)
    log_enhancement = np.log(np.where(enhancement > 0, enhancement, 1.0))
    # the phases share one gain, so their log enhancements are correlated
    precision = np.linalg.inv(RESIDUAL_SD**2 * np.eye(len(enhanced)) + GAIN_SD**2)
    log_density = []
    for sign in (-1.0, 1.0):
        mean = np.array([LOG_ENHANCEMENT[p] + sign * CLASS_SHIFT[p] for p in enhanced])
        centred = log_enhancement - mean
        exponent = -0.5 * np.einsum("nqi,ij,nqj->nq", centred, precision, centred)
        exponent += log_weight - log_enhancement.sum(axis=-1)  # the Jacobian of the logarithm
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
    """log P(high | table) - log P(low | table), over the values that are not missing; equal priors.

    >>> clinical_log_odds({})
    0.0
    """
    total = 0.0
    for name, mean, sd in (("age", AGE_YEARS, AGE_SD_YEARS), ("log_afp", LOG_AFP, LOG_AFP_SD)):
        if name in clinical:
            middle = 0.5 * (mean[0] + mean[1])  # equal deviations: the log ratio of two normal densities is linear
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
