"""What the intensity transforms share: which voxels are counted, and padding that stays exactly 0."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from scripts.data.nearest import listing

from .phase_transform import PhaseTransform, need, phase_name, phase_source

Item = dict[Any, Any]


def region_voxels(item: Item, key: str, phase: str) -> np.ndarray:
    """Return the voxels of a phase within the region."""
    return item[key][phase].numpy()[item["inside"][phase].numpy()]


def volume_voxels(item: Item, key: str, phase: str) -> np.ndarray:
    """Return all voxels of a phase, read from its file."""
    return item["volumes"][phase].read_image().ravel(order="K")


COUNTED: dict[str, Callable[[Item, str, str], np.ndarray]] = {
    "region": region_voxels,
    "volume": volume_voxels,
}


class Intensity(PhaseTransform):
    """Base of the intensity transforms: applies its rule to each phase and sets the padding to 0.

    The arithmetic is numpy's, on one thread: volumes this small lose more time by waking torch's threads.
    """

    @abstractmethod
    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        """Return, for each phase, the function that maps its values (float32 to float32)."""

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
    """Base of the intensity transforms that measure each case.

    Args:
        keys: key of the phases on their common grid.
        joint: measure all phases of the case together, which keeps their ratios; False measures each alone.
        statistics: what is measured: ``region`` (the voxels within the region) or ``volume`` (the whole
            file).

    Raises:
        ValueError: `statistics` is neither.
    """

    def __init__(self, keys: str = "image", joint: bool = False, statistics: str = "region") -> None:
        super().__init__(keys)
        if statistics not in COUNTED:
            raise ValueError(
                f"`statistics` must be one of {listing(statistics, COUNTED)}, found {statistics!r}"
            )
        self.joint = bool(joint)
        self.statistics = statistics

    @abstractmethod
    def measure(self, voxels: list[np.ndarray]) -> tuple[float, float]:
        """Return the (offset, width) that maps x to (x - offset) / width; the arrays are counted together."""

    @abstractmethod
    def summarise(self, voxels: np.ndarray) -> torch.Tensor:
        """Return what has to be known of one phase's voxels to measure them with those of others."""

    @abstractmethod
    def measure_summaries(self, summaries: list[np.ndarray]) -> tuple[float, float]:
        """Return (offset, width) as `measure` does, from what was kept of each phase."""

    def summary(self, item: Item, phase: str) -> torch.Tensor:
        """Return the summary of a phase's voxels, float64; ``item["measured"]`` keeps it in their place."""
        return self.summarise(COUNTED[self.statistics](item, self.key, phase))

    @abstractmethod
    def apply(self, values: np.ndarray, offset: float, width: float) -> np.ndarray:
        """Map the values of one phase."""

    def rules(self, item: Item) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
        phases = list(item[self.key])
        count = COUNTED[self.statistics]
        groups = [phases] if self.joint else [[phase] for phase in phases]
        rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        for group in groups:
            if "measured" in item:  # the files need not be read again
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
