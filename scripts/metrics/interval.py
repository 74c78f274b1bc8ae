# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals, how they were computed, and the bootstrap over patients behind most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LEVEL = 0.95  # Coverage of the intervals
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)  # Quantiles of the bootstrap draws that bound an interval
CHUNK = 4_000_000  # Most resampled weights held in memory at once (32 MB)


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was computed; if there is none, its bounds are None and note says why.

    Attributes:
        draws, draws_used: bootstrap resamples, and those in which the metric is defined; 0 without bootstrap.
    """

    lower: float | None
    upper: float | None
    draws: int
    draws_used: int
    n_patients: int  # patients it is based on
    seed: int
    note: str = ""  # remark for the reader
    level: float = LEVEL  # coverage
    method: str = "percentile bootstrap"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return asdict(self)

    @property
    def bounds(self) -> list[float] | None:
        """[lower, upper], or None."""
        return None if self.lower is None or self.upper is None else [self.lower, self.upper]


def percentile_interval(values: np.ndarray, n_patients: int, seed: int) -> Interval:
    """Return the interval of a metric from its bootstrap draws: their 0.025 and 0.975 quantiles.

    Args:
        values: [draws], the metric in each draw, NaN if undefined there.
        n_patients: number of resampled patients.
    """
    defined = values[np.isfinite(values)]
    draws, used = len(values), len(defined)
    if n_patients < 2:
        return Interval(None, None, draws, 0, n_patients, seed, "needs at least 2 patients")
    if used < draws / 2:
        note = f"only {used} of {draws} draws hold every class: too few cases of the rarest class"
        return Interval(None, None, draws, used, n_patients, seed, note if used else "undefined")
    lower, upper = (float(np.quantile(defined, q)) for q in TAILS)
    notes = []
    if used < draws:
        notes.append(f"from {used} of {draws} draws, the others miss a class")
    if lower == upper:
        notes.append("no width, as all resamples agree; that does not make it certain")
    return Interval(lower, upper, draws, used, n_patients, seed, "; ".join(notes))


def wilson_interval(share: float, n: float) -> list[float]:
    r"""Return Wilson's 95% score interval of a share of n independent cases, which has a width even at 0 and 1.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1 - p)/n + z^2/4n^2}}{1 + z^2/n}

    Reference: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.

    >>> [round(bound, 3) for bound in wilson_interval(1.0, 10)]
    [0.722, 1.0]
    """
    z2 = 1.959963984540054**2 / n
    half = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    return [float(max(0.0, (share + z2 / 2 + side * half) / (1 + z2))) for side in (-1, 1)]


def number_patients(patients: Sequence[str] | None, n: int) -> np.ndarray:
    """Number the patients of n cases in order of first appearance; None: every case is its own patient.

    Raises:
        ValueError: the number of patients is not n.

    >>> number_patients(["b", "a", "b"], 3)
    array([0, 1, 0])
    """
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise ValueError(f"there must be one patient per case, found {len(patients)} for {n} cases")
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in patients])


def patient_weights(patient: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Draw as many patients as there are, with replacement; yield how often each case was drawn.

    Args:
        patient: [n], patient number of each case, from 0 without gaps.
        draws: number of resamples, yielded in blocks [some of the draws, n] float64.
        seed: the same seed gives the same resamples.

    Raises:
        ValueError: draws below 1.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, found {draws}")
    rng = np.random.default_rng([seed, draws])  # independent of other uses of the seed, e.g. synthetic cases
    count = int(patient.max()) + 1
    step = max(1, CHUNK // len(patient))
    for start in range(0, draws, step):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(step, draws - start))
        yield drawn[:, patient].astype(np.float64)


def band(
    curves: Callable[[np.ndarray], np.ndarray], patient: np.ndarray, draws: int = 500, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the pointwise 95% band of a curve at its G points.

    Args:
        curves: weights [R, n] -> the curve for each weighting, [at most R, G].
        patient, draws, seed: as for `patient_weights`.

    Returns:
        The lower and the upper bound, [G] each.
    """
    lower, upper = np.quantile(
        np.concatenate([curves(weights) for weights in patient_weights(patient, draws, seed)]), TAILS, axis=0
    )
    return lower, upper
