"""A first look at the grids of a dataset: which spacing and grid size suit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.data.extents import mask_limits, open_phase, ras_axes, ras_extent
from scripts.data.intensity_rule import propose_intensity

MARGIN = 10.0
"""Margin around a mask in mm."""
MOST_VOXELS = 64**3
"""Largest grid proposed; beyond it the spacing is made coarser, the finest axes first."""
STEP = 4
"""Grid sizes are multiples of this."""
LEAST = 12
"""Least voxels per axis proposed."""


@dataclass(frozen=True)
class Survey:
    """Proposed settings for one dataset.

    Attributes:
        region: transform that finds the region, as in the YAML.
        intensity: transform of the intensities, as in the YAML.
        spacing: mm along R, A, S.
        grid_size: voxels along R, A, S.
        native_spacing: median spacing of the reference phase in mm along R, A, S.
        larger: cases whose region is larger than the grid.
    """

    region: dict[str, Any]
    intensity: dict[str, Any]
    spacing: list[float]
    grid_size: list[int]
    native_spacing: list[float]
    larger: list[str]


def survey(cases: Sequence[dict[str, Any]], phases: Sequence[str], reference_phase: str) -> Survey:
    """Read the header of each case's reference volume, and its mask where every case has one.

    The region is the box where every case has one, else the mask with a margin of 10 mm, else the whole
    volume. The spacing is the median of the native ones, the grid holds the region of 95% of the cases;
    where that is more than 64^3 voxels, the spacing is made coarser. The intensity rule is a HU window where
    the first few cases look like CT, else joint z-scores.

    Args:
        cases: entries of dataset.json with absolute paths.
        phases: phases in order; the first present one stands in where the reference is absent.
        reference_phase: the phase whose grid counts.

    Raises:
        ValueError: a volume or mask that cannot be read, or a mask without a voxel.
    """
    from tqdm import tqdm

    region = _region(cases)
    spacings, extents = [], []
    for entry in tqdm(cases, desc="reading headers", unit="case"):
        image, case = entry["image"], entry["case"]
        phase = next(phase for phase in [reference_phase, *phases] if phase in image)
        volume = open_phase(image[phase], case, phase)
        spacings.append(volume.spacing[ras_axes(volume)])
        if "BoxRegiond" in region["_target_"]:
            extents.append(np.subtract(entry["box"][1], entry["box"][0]))
        elif "MaskRegiond" in region["_target_"]:
            extents.append(_mask_extent(entry) + 2 * MARGIN)
        else:
            extents.append(ras_extent(volume, np.zeros(3), np.subtract(volume.shape, 1)))
    native = np.median(spacings, axis=0)
    spacing, size = propose_grid(native, np.percentile(extents, 95, axis=0))
    larger = [
        entry["case"]
        for entry, extent in zip(cases, extents, strict=True)
        if (extent > np.multiply(spacing, size) + 1e-3).any()
    ]
    intensity = propose_intensity(cases)
    return Survey(region, intensity, spacing, size, [round(float(value), 3) for value in native], larger)


def propose_grid(native: np.ndarray, extent: np.ndarray) -> tuple[list[float], list[int]]:
    """Return a spacing in mm with two digits and a grid size in voxels that covers `extent` mm.

    >>> propose_grid(np.array([0.703, 0.703, 5.0]), np.array([40.0, 30.0, 60.0]))
    ([0.7, 0.7, 5.0], [60, 44, 12])
    >>> propose_grid(np.array([0.8, 0.8, 2.5]), np.array([400.0, 400.0, 300.0]))
    ([5.9, 5.9, 5.9], [68, 68, 52])
    """
    spacing = np.array([float(f"{value:.2g}") for value in native])
    while True:
        size = np.maximum(np.ceil(extent / spacing / STEP - 1e-6).astype(int) * STEP, LEAST)
        if size.prod() <= MOST_VOXELS or (size <= LEAST).all():
            return [float(value) for value in spacing], [int(value) for value in size]
        finest = spacing <= spacing.min() * 1.01
        second_digit = 10.0 ** (np.floor(np.log10(spacing.min())) - 1)
        spacing[finest] = float(f"{spacing.min() + second_digit:.2g}")


def _region(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if all(entry.get("box") for entry in cases):
        return {"_target_": "scripts.transforms.BoxRegiond", "keys": "image", "margin": 0.0}
    if all(entry.get("roi") for entry in cases):
        return {"_target_": "scripts.transforms.MaskRegiond", "keys": "image", "margin": MARGIN}
    return {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}


def _mask_extent(entry: dict[str, Any]) -> np.ndarray:
    mask = open_phase(entry["roi"], entry["case"], "roi")
    return ras_extent(mask, *mask_limits(mask, entry["case"]))
