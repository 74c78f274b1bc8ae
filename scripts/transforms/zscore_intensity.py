"""Intensities in standard deviations, for MR."""

from __future__ import annotations

import numpy as np

from .intensity import MeasuredIntensity


class ZScoreIntensityd(MeasuredIntensity):
    r"""Subtracts the mean and divides by the (population) standard deviation.

    .. math:: y = \frac{x - \mu}{\sigma}

    With `joint`, one mean and deviation serve all phases of the case.

    Args:
        keys: key of the phases on their common grid.
        joint: measure all phases of the case together, which keeps their ratios; False measures each alone.
        statistics: what is measured: ``region`` (the voxels within the region) or ``volume`` (the whole
            file).

    Raises:
        ValueError: all counted voxels have the same value.
    """

    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        count = sum(part.size for part in voxels)
        mean = sum(float(part.sum(dtype=np.float64)) for part in voxels) / count
        square = sum(
            part.var(dtype=np.float64) * part.size + part.size * _gap(part, mean) ** 2 for part in voxels
        )
        return mean, float(np.sqrt(square / count))

    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        return (values - offset) / width


def _gap(part: np.ndarray, mean: float) -> float:
    return float(part.mean(dtype=np.float64)) - mean
