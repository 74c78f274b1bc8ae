# SPDX-License-Identifier: Apache-2.0
"""The headers and masks of all cases, from which reference phase, spacing and grid are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scripts.cases.masks import masks_of, open_mask
from scripts.cases.splits import Case
from scripts.files.plain_text import listing
from scripts.files.processes import BadCases, lines_of, work_through
from scripts.volumes.grid import (
    bounds,
    box_corners,
    field_of_view,
    frame_axes,
    mask_limits,
    open_phase,
    ras_axes,
    voxel_corners,
)
from scripts.volumes.volume import Volume


@dataclass(frozen=True)
class CaseGrids:
    """What the headers of a case say, and where its region lies."""

    case: str
    volumes: Mapping[str, Volume]  # phase -> its volume, opened
    # corners in mm (RAS) of its box, where every case has one, else of the boxes around its masks, [8 n, 3];
    # None where it has neither
    region: np.ndarray | None

    def spacing(self, phase: str) -> np.ndarray:
        """Return the spacing of a phase in mm along R, A, S."""
        volume = self.volumes[phase]
        return volume.spacing[ras_axes(volume)]

    def whole(self, phase: str) -> np.ndarray:
        """Return the edges of a phase in mm along R, A, S."""
        volume = self.volumes[phase]
        axes = ras_axes(volume)
        return volume.spacing[axes] * np.array(volume.shape)[axes]

    def covered(self, phase: str) -> float:
        """Return the share of the region that lies inside a phase, 0 to 1; without a region 1."""
        if self.region is None:
            return 1.0
        volume = self.volumes[phase]
        axes = frame_axes(volume.affine, volume.shape)
        low, high = bounds(self.region, axes)
        seen = field_of_view(volume.affine, volume.shape, axes)
        shared = np.maximum(0, np.minimum(high, seen[1]) - np.maximum(low, seen[0]))
        return float(shared.prod() / (high - low).prod())

    def extent(self, volume: Volume, with_region: bool) -> np.ndarray:
        """Return the size in mm of the region, or of the volume, along the axes of one of its volumes."""
        axes = frame_axes(volume.affine, volume.shape)
        if with_region and self.region is not None:
            low, high = bounds(self.region, axes)
        else:
            low, high = field_of_view(volume.affine, volume.shape, axes)
        return high - low


def look_at_grids(cases: Sequence[Case], workers: int | None = None) -> list[CaseGrids]:
    """Open all volumes of all cases without reading their voxels, and read their masks.

    Raises:
        BadCases: files that cannot be opened, masks that cannot be read or have no voxel; all of them.
    """
    boxes = all(entry.get("box") for entry in cases)
    return work_through(partial(_look, boxes), cases, workers, bar="reading headers")


def _look(boxes: bool, entry: Case) -> CaseGrids:
    volumes: dict[str, Volume] = {}
    problems: list[str] = []
    region = None
    for phase, path in entry["image"].items():
        try:
            volumes[phase] = open_phase(path, entry["case"], phase)
        except (ValueError, OSError) as error:
            problems += lines_of(error)
    if entry.get("box") and (boxes or not entry.get("roi")):
        region = box_corners(np.asarray(entry["box"]))
    else:
        corners = []
        for phase, path in masks_of(entry.get("roi")).items():
            try:
                mask = open_mask(path, entry["case"], phase)
                corners.append(voxel_corners(mask, *mask_limits(mask, entry["case"])))
            except (ValueError, OSError) as error:
                problems += lines_of(error)
        region = np.concatenate(corners) if corners else None
    if problems:
        raise BadCases(problems)
    return CaseGrids(entry["case"], volumes, region)


OFTEN = 0.9
"""A reference phase has at least this share of the number of cases of the most frequent phase."""
COVERED = 0.9  # its median case shows at least this share of the region, unless no phase does
ALIKE = 1.25  # phases whose coarseness is within this factor of the finest count as equally fine
USUAL = 0.5  # phases with at least this share of the cases of the most frequent one decide on the spacing


@dataclass(frozen=True)
class Sampling:
    """How a phase is sampled in the cases that decide."""

    phase: str
    present: int
    cases: int
    spacing: np.ndarray  # median over the cases, mm along R, A, S
    covered: float  # median share of the region that it shows, 0 to 1

    @property
    def coarseness(self) -> float:
        """Voxel volume times longest edge, mm^4: of two voxels of equal volume the more isotropic one is finer."""
        return float(self.spacing.prod() * self.spacing.max())

    def __str__(self) -> str:
        """Name, spacing and number of cases, as a sentence names them."""
        share = "" if self.covered >= COVERED else f", shows {self.covered:.0%} of the region"
        return f"{self.phase} ({product(self.spacing)} mm, {self.present} of {self.cases} cases{share})"


@dataclass(frozen=True)
class Reference:
    """The reference phase, and why it is this one."""

    phase: str
    reason: str
    sampling: Sequence[Sampling]  # of all phases that a deciding case has, in their order

    @property
    def finest(self) -> np.ndarray:
        """Spacing in mm along R, A, S: on each axis that of the finest phase that is common enough (`USUAL`)."""
        most = max(one.present for one in self.sampling)
        return np.min([one.spacing for one in self.sampling if one.present >= USUAL * most], axis=0)


def sampling(grids: Sequence[CaseGrids], phases: Sequence[str]) -> list[Sampling]:
    """Measure how each phase is sampled; a phase that no case has is left out."""
    found = []
    for phase in phases:
        those = [one for one in grids if phase in one.volumes]
        if those:
            spacing = np.median([one.spacing(phase) for one in those], axis=0)
            covered = float(np.median([one.covered(phase) for one in those]))
            found.append(Sampling(phase, len(those), len(grids), spacing, covered))
    return found


def choose_reference(grids: Sequence[CaseGrids], phases: Sequence[str], wanted: str | None = None) -> Reference:
    """Return the reference phase: the one wanted, or the finest of those that nearly all cases have.

    Candidates have at least 90% as many cases as the most frequent phase and show at least 90% of the region.
    The least coarse one is chosen (see `Sampling`); of several within a factor of 1.25 of it the most
    frequent, and of these the first.

    Args:
        wanted: the user's choice.
    """
    check_reference(phases, wanted)
    found = sampling(grids, phases)
    if wanted is not None:
        return Reference(wanted, "as asked for", found)
    if len(found) == 1:
        return Reference(found[0].phase, "the only phase", found)
    most = max(one.present for one in found)
    often = [one for one in found if one.present >= OFTEN * most]
    showing = [one for one in often if one.covered >= COVERED] or often
    least = min(one.coarseness for one in showing)
    alike = [one for one in showing if one.coarseness <= ALIKE * least]
    chosen = max(alike, key=lambda one: one.present)  # the first of several
    if len(alike) == len(found):
        several = len({one.present for one in found}) > 1
        reason = "all phases are sampled alike; fewest cases lack it" if several else "all phases are sampled alike"
        return Reference(chosen.phase, reason, found)
    finer = [one for one in found if one not in alike and one.coarseness < chosen.coarseness / ALIKE]
    passed = f"; finer, but not as complete: {', '.join(map(str, finer))}" if finer else ""
    return Reference(chosen.phase, f"the most finely sampled of those that nearly all cases have{passed}", found)


def check_reference(phases: Sequence[str], wanted: str | None) -> None:
    """Refuse a reference phase that is not among the phases."""
    if wanted is not None and wanted not in phases:
        raise ValueError(
            f"reference phase {wanted!r} is not among the phases {listing(wanted, phases)}; correct --reference_phase"
        )


def losses(reference: Reference, spacing: Sequence[float]) -> list[str]:
    """Say what becomes of the voxels of each phase on the common grid; those that keep all share a line.

    Args:
        spacing: of the grid, mm along R, A, S.
    """
    lines, kept = [], []
    for one in reference.sampling:
        ratio = np.asarray(spacing) / one.spacing
        merged, stretched = np.maximum(ratio, 1).prod(), (1 / ratio).max()
        said = []
        if merged > 1.5:
            said.append(f"{merged:.1f} voxels of a file become one of the grid")
        if stretched > 1.5:
            axis = ("right-left", "front-back", "top-bottom")[int((1 / ratio).argmax())]
            said.append(f"between two voxels of a file lie up to {stretched:.1f} of the grid ({axis})")
        if said:
            lines.append(f"{one}: {', '.join(said)}")
        else:
            kept.append(str(one))
    verb = "keep their" if len(kept) > 1 else "keeps its"
    return [*lines, f"{', '.join(kept)}: {verb} resolution"] if kept else lines


def product(values: Sequence[float] | np.ndarray) -> str:
    """Return numbers written as a size.

    >>> product([1.0, 0.5, 3.25])
    '1 x 0.5 x 3.25'
    """
    return " x ".join(f"{value:.3g}" for value in values)
