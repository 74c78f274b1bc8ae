"""Bootstrap resamples of patients, each patient with all of its cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

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
