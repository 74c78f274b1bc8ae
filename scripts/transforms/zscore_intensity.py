"""Intensities in standard deviations, for MR."""

from __future__ import annotations

import numpy as np
import torch

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
        return self.measure_summaries([self._moments(part) for part in voxels])

    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self._moments(voxels))

    def measure_summaries(self, summaries: list[np.ndarray]) -> tuple[float, float]:
        count = int(sum(size for size, _, _, _ in summaries))
        mean = float(sum(total for _, total, _, _ in summaries)) / count
        square = sum(variance * size + size * (own - mean) ** 2 for size, _, own, variance in summaries)
        return mean, float(np.sqrt(square / count))

    @staticmethod
    def _moments(part: np.ndarray) -> np.ndarray:
        """Return number, sum, mean and variance of the voxels of one phase."""
        kind = np.float64
        return np.array([part.size, part.sum(dtype=kind), part.mean(dtype=kind), part.var(dtype=kind)])

    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        return (values - offset) / width
