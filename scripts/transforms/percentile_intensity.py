"""Intensities between two percentiles, for MR."""

from __future__ import annotations

import numpy as np
import torch

from .intensity import MeasuredIntensity

MOST_VOXELS = 1 << 24
MOST_VALUES = 1 << 18
"""Different values that are kept of a file; of more, so many of equal weight."""


class PercentileIntensityd(MeasuredIntensity):
    r"""Maps the range between two percentiles to [0, 1] and clips what lies outside it.

    .. math:: y = \mathrm{clip}\left(\frac{x - q_{lower}}{q_{upper} - q_{lower}}, 0, 1\right)

    With `joint`, the percentiles are those of the voxels of all phases of the case together. Of more than
    2^24 voxels, every k-th is counted.

    Args:
        keys: key of the phases on their common grid.
        lower: percentile that becomes 0, in percent.
        upper: percentile that becomes 1, in percent.
        joint: measure all phases of the case together, which keeps their ratios; False measures each alone.
        statistics: what is measured: ``region`` (the voxels within the region) or ``volume`` (the whole
            file).

    Raises:
        ValueError: the percentiles are not within 0 to 100 in rising order, or both have the same value.
    """

    def __init__(
        self,
        keys: str = "image",
        lower: float = 0.5,
        upper: float = 99.5,
        joint: bool = False,
        statistics: str = "region",
    ) -> None:
        super().__init__(keys, joint, statistics)
        if not 0 <= lower < upper <= 100:
            raise ValueError(
                f"PercentileIntensityd: 0 <= `lower` < `upper` <= 100 percent must hold, found {lower} and "
                f"{upper}"
            )
        self.lower, self.upper = float(lower), float(upper)

    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        step = -(-sum(part.size for part in voxels) // MOST_VOXELS)
        counted = np.concatenate([part[::step] for part in voxels])
        low, high = np.percentile(counted, [self.lower, self.upper])
        return float(low), float(high - low)

    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        values, counts = np.unique(voxels, return_counts=True)
        if len(values) > MOST_VALUES:  # of voxels sorted by value, one stands for as many on either side
            places = (np.arange(MOST_VALUES) + 0.5) * voxels.size / MOST_VALUES
            values = np.repeat(values, counts)[places.astype(int)]
            counts = np.full(MOST_VALUES, voxels.size / MOST_VALUES)
        return torch.from_numpy(np.stack([values, counts]).astype(np.float64))

    def measure_summaries(self, summaries: list[np.ndarray]) -> tuple[float, float]:
        values, counts = np.concatenate(summaries, axis=1)
        order = values.argsort(kind="stable")
        values, upto = values[order], counts[order].cumsum()
        low, high = (self._percentile(values, upto, share) for share in (self.lower, self.upper))
        return low, high - low

    @staticmethod
    def _percentile(values: np.ndarray, upto: np.ndarray, share: float) -> float:
        """Return a percentile, as numpy's, of sorted values; `upto` are the voxels up to each of them."""
        place = (upto[-1] - 1) * share / 100
        around = [
            min(int(upto.searchsorted(at + 0.5)), len(values) - 1) for at in (place // 1, -(-place // 1))
        ]
        below, above = values[around]
        return float(below + (place % 1) * (above - below))

    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        return np.clip((values - offset) / width, 0.0, 1.0)
