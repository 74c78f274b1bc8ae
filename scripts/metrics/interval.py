"""One confidence interval with the method behind it, and the percentile interval of bootstrap draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
"""Coverage of the intervals."""

TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
"""The quantiles of bootstrap draws between which an interval runs."""


@dataclass(frozen=True)
class Interval:
    """One interval and its method; lower and upper are None when there is none, and note says why.

    Attributes:
        lower, upper: the bounds.
        draws, draws_used: bootstrap resamples, and those that define the metric; 0 without bootstrap.
        n_patients: patients behind it.
        seed: of the resampling.
        note: what a reader should know.
        level: coverage.
        method: how it was computed.
    """

    lower: float | None
    upper: float | None
    draws: int
    draws_used: int
    n_patients: int
    seed: int
    note: str = ""
    level: float = LEVEL
    method: str = "percentile bootstrap"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary for JSON."""
        return asdict(self)

    @property
    def bounds(self) -> list[float] | None:
        """[lower, upper], or None."""
        return None if self.lower is None or self.upper is None else [self.lower, self.upper]


def percentile_interval(values: np.ndarray, n_patients: int, seed: int) -> Interval:
    """Turn the bootstrap draws of one metric into an interval: their 0.025 and 0.975 quantiles.

    Args:
        values: the metric of each draw, NaN where the draw leaves it undefined.
        n_patients: patients that were resampled.
        seed: of the resampling.

    Shape:
        values: [draws].
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


CHUNK = 4_000_000
"""At most so many resampled weights are held at once (32 MB)."""


def number_patients(patients: Sequence[str] | None, n: int) -> np.ndarray:
    """Number the patients in the order of their first case; None: every case is a patient.

    Raises:
        ValueError: patients of another length than n.

    Example:
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
        patient: number of the patient of each case, from 0 without gaps.
        draws: number of resamples.
        seed: the same seed gives the same resamples.

    Shape:
        patient: [n]. Each yield: [some of the draws, n] float64.

    Raises:
        ValueError: no draws.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1, found {draws}")
    rng = np.random.default_rng([seed, draws])  # a stream of its own: cases may be made from the same seed
    count = int(patient.max()) + 1
    step = max(1, CHUNK // len(patient))
    for start in range(0, draws, step):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(step, draws - start))
        yield drawn[:, patient].astype(np.float64)
