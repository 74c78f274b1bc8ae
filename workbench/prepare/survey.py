# SPDX-License-Identifier: Apache-2.0
"""Propose region, spacing, grid size and intensity rule for a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scripts.cases.masks import masks_of, open_mask, region_mask
from scripts.cases.splits import Case
from scripts.files.processes import work_through
from scripts.volumes.grid import frame_axes, mask_box
from scripts.volumes.mask import Pieces, pieces_of
from scripts.volumes.volume import Volume
from workbench.prepare.grids import CaseGrids, Reference
from workbench.prepare.phase_scale import propose_intensity

MARGIN = 10.0  # margin around a mask in mm
MOST_VOXELS = 64**3  # largest grid proposed; beyond it the spacing is made coarser, the finest axes first
STEP = 4  # grid sizes are multiples of this
LEAST = 12  # fewest voxels per axis proposed


@dataclass(frozen=True)
class Survey:
    """Proposed settings for one dataset."""

    reference: Reference  # the reference phase, why it is this one, and how all phases are sampled
    region: dict[str, Any]  # transform that finds the region, as in the YAML
    intensity: dict[str, Any]  # transform of the intensities, as in the YAML
    intensity_reason: str  # why that one
    spacing: list[float]  # mm along R, A, S
    grid_size: list[int]  # voxels along R, A, S
    decided_on: str  # which cases decided, e.g. "16 cases" or "10 training cases".
    held: int  # of these, how many have a region that the grid holds
    larger: list[str]  # all cases, of any split, whose region is larger than the grid
    # case -> share of its mask outside the region, where the mask has several pieces
    left_out: dict[str, float] = field(default_factory=dict)
    # cases whose mask has several pieces of which none is tiny
    several: list[str] = field(default_factory=list)


def survey(
    cases: Sequence[Case],
    grids: Sequence[CaseGrids],
    phases: Sequence[str],
    reference: Reference,
    deciding: Set[str],
    kind: str = "",
    workers: int | None = None,
) -> Survey:
    """Propose region, spacing, grid size and intensity rule from the cases that decide.

    The region is the box where every case has one, else the mask with a margin of 10 mm, else the whole
    volume. Of a mask in several pieces the largest counts, unless most masks have several: then all pieces
    count. The spacing on each axis is that of the finest phase (see `Reference.finest`); the grid is the
    smallest that holds the region of 95% of the deciding cases; if that takes more than 64^3 voxels, the
    spacing is made coarser. For the intensity rule see `propose_intensity`.

    Args:
        grids: of the same cases, in the same order.
        phases: phases in order; the first one present replaces an absent reference.
        deciding: names of the cases that decide; the others are only checked for a region larger than the grid.
        kind: what these are called, e.g. "training"; empty where all cases decide.

    Raises:
        BadCases: masks that cannot be read.
        ValueError: a volume that cannot be read.
    """
    chosen = [entry for entry in cases if entry["case"] in deciding]
    region = _region(cases)  # from all cases: a rule must work for each of them
    volumes = {
        one.case: one.volumes[next(phase for phase in [reference.phase, *phases] if phase in one.volumes)]
        for one in grids
    }
    pieces: dict[str, Pieces] = {}
    if "component" in region:
        masked = [
            (entry["case"], mask, volumes[entry["case"]])
            for entry in cases
            if (mask := region_mask(masks_of(entry.get("roi")), reference.phase, phases, entry["image"]))
        ]
        found = work_through(_pieces, masked, workers)
        pieces = {case: one for (case, _, _), one in zip(masked, found, strict=True)}
    several = [case for case, one in pieces.items() if len(one.boxes) > 1]
    if 2 * len(deciding & set(several)) > len(deciding & pieces.keys()):
        region["component"] = "all"
    extents = {one.case: _extent(one, volumes[one.case], region, pieces.get(one.case)) for one in grids}
    fit = [extents[entry["case"]] for entry in chosen]
    spacing, size = propose_grid(reference.finest, least_extent(np.array(fit)))
    room = np.multiply(spacing, size)
    larger = [case for case, extent in extents.items() if (extent > room + 1e-3).any()]
    left_out = {}
    if region.get("component") == "largest":
        shares = {case: one.within(room)[1] for case, one in pieces.items()}
        left_out = {case: share for case, share in shares.items() if share > 0}
    intensity, reason = propose_intensity(chosen, phases)
    return Survey(
        reference,
        region,
        intensity,
        reason,
        spacing,
        size,
        decided_on=f"{len(chosen)} {kind + ' ' if kind else ''}case{'s' if len(chosen) != 1 else ''}",
        held=sum(bool((extent <= room + 1e-3).all()) for extent in fit),
        larger=larger,
        left_out=left_out,
        several=several,
    )


def least_extent(extents: np.ndarray, share: float = 0.95) -> np.ndarray:
    """Return the edges in mm of a small box that holds at least `share` of the boxes, each on all axes.

    Starting from the box that holds all, the case whose removal makes it smallest is left out, as often as
    the share allows: never with fewer than 20 cases.

    Args:
        extents: edges of each case's box in mm, [N, 3].
        share: least share of the cases that the box holds.

    >>> least_extent(np.array([[10.0, 10, 10]] * 18 + [[90, 10, 10], [10, 20, 10]])).tolist()
    [10.0, 20.0, 10.0]
    """
    kept = np.asarray(extents, dtype=np.float64)
    usual = np.median(kept, axis=0)
    for _ in range(int(len(extents) * (1 - share) + 1e-9)):
        choices = []
        for index in set(kept.argmax(axis=0).tolist()):
            rest = np.delete(kept, index, axis=0)
            choices.append((np.log(rest.max(axis=0)).sum(), -(kept[index] / usual).max(), index))
        kept = np.delete(kept, min(choices)[2], axis=0)  # if several are equal, the most unusual one
    return kept.max(axis=0)


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
        # coarsen the finest axes by one unit in their second significant digit
        second_digit = 10.0 ** (np.floor(np.log10(spacing.min())) - 1)
        spacing[finest] = float(f"{spacing.min() + second_digit:.2g}")


def _region(cases: Sequence[Case]) -> dict[str, Any]:
    if all(entry.get("box") for entry in cases):
        return {"_target_": "scripts.transforms.BoxRegiond", "keys": "image", "margin": 0.0}
    if all(entry.get("roi") or entry.get("box") for entry in cases):
        target = "scripts.transforms.MaskRegiond"
        return {"_target_": target, "keys": "image", "margin": MARGIN, "component": "largest"}
    return {"_target_": "scripts.transforms.WholeVolumeRegiond", "keys": "image"}


def _extent(one: CaseGrids, volume: Volume, region: Mapping[str, Any], pieces: Pieces | None) -> np.ndarray:
    """Return the edges in mm of the box that a case's region needs, with its margin."""
    if pieces is not None:
        boxes = pieces.boxes if region["component"] == "all" else pieces.boxes[:1]
        return np.asarray(boxes[:, 1].max(axis=0) - boxes[:, 0].min(axis=0) + 2 * MARGIN)
    with_region = "margin" in region and one.region is not None
    return one.extent(volume, with_region) + 2 * (region["margin"] if with_region else 0.0)


def _pieces(masked: tuple[str, str, Volume]) -> Pieces:
    """Return the pieces of a case's mask along the axes of its reference volume."""
    case, file, volume = masked
    mask = mask_box(open_mask(file, case), case)
    return pieces_of(mask.inside, mask.affine, frame_axes(volume.affine, volume.shape), MARGIN)
