# SPDX-License-Identifier: Apache-2.0
"""Intensity rules: windowing, z-score and percentiles, measured per case; padding stays exactly 0."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scripts.files.plain_text import listing
from scripts.transforms.phases import PhaseTransform, need, phase_name, phase_source

Item = dict[Any, Any]


def region_voxels(item: Item, key: str, phase: str) -> np.ndarray:
    """Return the voxels of a phase inside the region."""
    return item[key][phase].numpy()[item["inside"][phase].numpy()]


def volume_voxels(item: Item, key: str, phase: str) -> np.ndarray:
    """Return all voxels of a phase, read from its file."""
    return item["volumes"][phase].read_image().ravel(order="K")


COUNTED: dict[str, Callable[[Item, str, str], np.ndarray]] = {"region": region_voxels, "volume": volume_voxels}


class Intensity(PhaseTransform):
    """Base of the intensity transforms: applies a rule to each phase and sets the padding to 0.

    Uses numpy on one thread: for volumes this small, waking torch's threads costs more than it saves.
    """

    @abstractmethod
    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Return for each phase the function that maps its values, float32 to float32."""

    def __call__(self, data: Mapping[Any, Any]) -> Item:
        item = dict(data)
        inside = need(item, "inside", "ResamplePhasesd", self)
        rules = self.rules(item)
        item[self.key] = {
            phase: torch.from_numpy(np.where(inside[phase], rules[phase](values.numpy()), np.float32(0)))
            for phase, values in item[self.key].items()
        }
        return item


class MeasuredIntensity(Intensity):
    """Base of the intensity transforms that are measured on each case.

    Args:
        keys: key of the phases on their common grid.
        joint: measure all phases of a case together, which preserves their ratios; False measures each alone.
        statistics: what is measured: ``region`` (voxels inside the region) or ``volume`` (the whole file).

    Raises:
        ValueError: `statistics` is neither.
    """

    def __init__(self, keys: str = "image", joint: bool = False, statistics: str = "region") -> None:
        super().__init__(keys)
        if statistics not in COUNTED:
            raise ValueError(f"`statistics` must be one of {listing(statistics, COUNTED)}, found {statistics!r}")
        self.joint = bool(joint)
        self.statistics = statistics

    @abstractmethod
    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        """Return (offset, width) such that x maps to (x - offset) / width, measured on all arrays together."""

    @abstractmethod
    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        """Return what must be known about one phase's voxels to measure them together with other phases."""

    @abstractmethod
    def measure_summaries(self, summaries: list[np.ndarray]) -> tuple[float, float]:
        """Return (offset, width) like `measure`, from the summaries of the phases."""

    def summary(self, item: Item, phase: str) -> torch.Tensor:
        """Return the float64 summary of a phase's voxels, which ``item["measured"]`` keeps in their place."""
        return self.summarise(COUNTED[self.statistics](item, self.key, phase))

    @abstractmethod
    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        """Map the values of one phase to (values - offset) / width, clipped if the rule does so."""

    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        phases = list(item[self.key])
        count = COUNTED[self.statistics]
        groups = [phases] if self.joint else [[phase] for phase in phases]
        rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        for group in groups:
            if "measured" in item:  # summaries of earlier reads; the files need not be read again
                offset, width = self.measure_summaries([item["measured"][phase].numpy() for phase in group])
            else:
                offset, width = self.measure([count(item, self.key, phase) for phase in group])
            if not width > 0:
                name, phase = phase_name(item, group[0]), group[0]
                raise ValueError(
                    f"{name} must have values that differ between the limits of {type(self).__name__}, found "
                    f"{offset:g} at both{phase_source(item, phase)}; widen the limits or the region, or take "
                    "the phase out of the case"
                )
            rules |= {phase: self._rule(offset, width) for phase in group}
        return rules

    def _rule(self, offset: float, width: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda values: self.apply(values, offset, width)


class WindowIntensityd(Intensity):
    r"""Maps a window of intensities to [0, 1] and clips values outside it.

    .. math:: y = \mathrm{clip}\left(\frac{x - lower}{upper - lower}, 0, 1\right)

    Args:
        keys: key of the phases on their common grid.
        lower: value that becomes 0, in HU or the unit of the volume.
        upper: value that becomes 1.

    Raises:
        ValueError: `upper` is not above `lower`.

    >>> import torch
    >>> inside = {"portal": torch.tensor([True, True, False])}
    >>> item = {"image": {"portal": torch.tensor([-500.0, 40.0, 0.0])}, "inside": inside}
    >>> WindowIntensityd(lower=-160.0, upper=240.0)(item)["image"]["portal"].tolist()
    [0.0, 0.5, 0.0]
    """

    def __init__(self, keys: str = "image", lower: float = -160.0, upper: float = 240.0) -> None:
        super().__init__(keys)
        if not lower < upper:
            raise ValueError(f"WindowIntensityd: `upper` must be above `lower`, found {lower} to {upper}")
        self.lower, self.upper = float(lower), float(upper)

    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        return dict.fromkeys(item[self.key], self._rescale)

    def _rescale(self, values: np.ndarray) -> np.ndarray:
        return np.clip((values - self.lower) / (self.upper - self.lower), 0.0, 1.0)


class ZScoreIntensityd(MeasuredIntensity):
    r"""Subtracts the mean and divides by the (population) standard deviation.

    .. math:: y = \frac{x - \mu}{\sigma}

    With `joint`, all phases of a case share one mean and standard deviation.

    Args:
        keys: key of the phases on their common grid.
        joint: measure all phases of a case together, which preserves their ratios; False measures each alone.
        statistics: what is measured: ``region`` (voxels inside the region) or ``volume`` (the whole file).

    Raises:
        ValueError: all measured voxels have the same value.
    """

    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        return self.measure_summaries([self._moments(part) for part in voxels])

    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self._moments(voxels))

    def measure_summaries(self, summaries: list[np.ndarray]) -> tuple[float, float]:
        count = int(sum(size for size, _, _, _ in summaries))
        mean = float(sum(total for _, total, _, _ in summaries)) / count
        # pooled variance: within phases plus between their means
        square = sum(variance * size + size * (own - mean) ** 2 for size, _, own, variance in summaries)
        return mean, float(np.sqrt(square / count))

    @staticmethod
    def _moments(part: np.ndarray) -> np.ndarray:
        """Return the number, sum, mean and variance of the voxels of one phase."""
        kind = np.float64
        return np.array([part.size, part.sum(dtype=kind), part.mean(dtype=kind), part.var(dtype=kind)])

    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        return (values - offset) / width


MOST_VOXELS = 1 << 24
MOST_VALUES = 1 << 18
"""Most distinct values kept per file; beyond that, this many quantiles of equal weight."""


class PercentileIntensityd(MeasuredIntensity):
    r"""Maps the range between two percentiles to [0, 1] and clips values outside it.

    .. math:: y = \mathrm{clip}\left(\frac{x - q_{lower}}{q_{upper} - q_{lower}}, 0, 1\right)

    With `joint`, the percentiles are taken over the voxels of all phases of a case. Beyond 2^24 voxels, only
    every k-th is used.

    Args:
        keys: key of the phases on their common grid.
        lower: percentile that becomes 0, in percent.
        upper: percentile that becomes 1, in percent.
        joint: measure all phases of a case together, which preserves their ratios; False measures each alone.
        statistics: what is measured: ``region`` (voxels inside the region) or ``volume`` (the whole file).

    Raises:
        ValueError: percentiles not in ascending order within 0 to 100, or of the same value.
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
                f"PercentileIntensityd: 0 <= `lower` < `upper` <= 100 percent must hold, found {lower} and {upper}"
            )
        self.lower, self.upper = float(lower), float(upper)

    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        step = -(-sum(part.size for part in voxels) // MOST_VOXELS)
        counted = np.concatenate([part[::step] for part in voxels])
        low, high = np.percentile(counted, [self.lower, self.upper])
        return float(low), float(high - low)

    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        values, counts = np.unique(voxels, return_counts=True)
        if len(values) > MOST_VALUES:  # each kept value is the middle of an equal share of the sorted voxels
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
        """Return a percentile like numpy's; `upto` counts the voxels up to each of the sorted values."""
        place = (upto[-1] - 1) * share / 100
        around = [min(int(upto.searchsorted(at + 0.5)), len(values) - 1) for at in (place // 1, -(-place // 1))]
        below, above = values[around]
        return float(below + (place % 1) * (above - below))

    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        return np.clip((values - offset) / width, 0.0, 1.0)
