"""A first look at the grids of a dataset: which spacing and grid size suit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scripts.data.extents import mask_limits, open_phase, ras_axes, ras_extent
from scripts.data.intensity_rule import propose_intensity
from scripts.data.volumes import Volume

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
        intensity_reason: why that one.
        spacing: mm along R, A, S.
        grid_size: voxels along R, A, S.
        native_spacing: median spacing of the reference phase in mm along R, A, S.
        larger: cases whose region is larger than the grid.
        left_out: case -> share of its mask outside the region, where the mask has several pieces.
        several: cases whose mask has several pieces of which none is tiny.
    """

    region: dict[str, Any]
    intensity: dict[str, Any]
    intensity_reason: str
    spacing: list[float]
    grid_size: list[int]
    native_spacing: list[float]
    larger: list[str]
    left_out: dict[str, float] = field(default_factory=dict)
    several: list[str] = field(default_factory=list)


def survey(cases: Sequence[dict[str, Any]], phases: Sequence[str], reference_phase: str) -> Survey:
    """Read the header of each case's reference volume, and its mask where every case has one.

    The region is the box where every case has one, else the mask with a margin of 10 mm, else the whole
    volume. Of a mask in several pieces the largest counts, unless most masks are: then they are meant as a whole.
    The spacing is the median of the native ones, the grid holds the region of 95% of the cases;
    where that is more than 64^3 voxels, the spacing is made coarser. For the intensity rule see
    `propose_intensity`.

    Args:
        cases: entries of dataset.json with absolute paths.
        phases: phases in order; the first present one stands in where the reference is absent.
        reference_phase: the phase whose grid counts.

    Raises:
        ValueError: a volume or mask that cannot be read, or a mask without a voxel.
    """
    from tqdm import tqdm

    region = _region(cases)
    spacings, sizes, extents, pieces = [], [], [], {}
    for entry in tqdm(cases, desc="reading headers", unit="case"):
        image, case = entry["image"], entry["case"]
        phase = next(phase for phase in [reference_phase, *phases] if phase in image)
        volume = open_phase(image[phase], case, phase)
        spacings.append(volume.spacing[ras_axes(volume)])
        sizes.append(ras_extent(volume, np.zeros(3), np.subtract(volume.shape, 1)))
        if "MaskRegiond" in region["_target_"] and entry.get("roi"):
            pieces[case] = _pieces(entry, volume)
    several = [case for case, found in pieces.items() if len(found.boxes) > 1]
    if "component" in region and 2 * len(several) > len(pieces):
        region["component"] = "all"
    for entry, whole in zip(cases, sizes, strict=True):
        if entry["case"] in pieces:
            boxes = pieces[entry["case"]].boxes
            chosen = boxes if region["component"] == "all" else boxes[:1]
            extents.append(chosen[:, 1].max(axis=0) - chosen[:, 0].min(axis=0) + 2 * MARGIN)
        elif entry.get("box") and "WholeVolume" not in region["_target_"]:
            extents.append(np.subtract(entry["box"][1], entry["box"][0]) + 2 * region["margin"])
        else:
            extents.append(whole)
    native = np.median(spacings, axis=0)
    spacing, size = propose_grid(native, np.percentile(extents, 95, axis=0))
    room = np.multiply(spacing, size)
    larger = [
        entry["case"] for entry, extent in zip(cases, extents, strict=True) if (extent > room + 1e-3).any()
    ]
    left_out = {}
    if region.get("component") == "largest":
        shares = {case: found.within(room)[1] for case, found in pieces.items()}
        left_out = {case: share for case, share in shares.items() if share > 0}
    native_mm = [round(float(value), 3) for value in native]
    intensity, reason = propose_intensity(cases, phases)
    return Survey(region, intensity, reason, spacing, size, native_mm, larger, left_out, several)


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
    if all(entry.get("roi") or entry.get("box") for entry in cases):
        target = "scripts.transforms.MaskRegiond"
        return {"_target_": target, "keys": "image", "margin": MARGIN, "component": "largest"}
    return {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}


def _pieces(entry: dict[str, Any], volume: Volume) -> Any:
    """Return the pieces of a mask along the axes of the reference volume."""
    from scripts.transforms.frame import frame_axes
    from scripts.transforms.mask_pieces import pieces_of

    mask = open_phase(entry["roi"], entry["case"], "roi")
    mask_limits(mask, entry["case"])
    return pieces_of(mask.read() > 0, mask.affine, frame_axes(volume.affine, volume.shape), MARGIN)
