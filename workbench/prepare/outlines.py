# SPDX-License-Identifier: Apache-2.0
"""What the masks of a dataset show, and the voxels and patches in which a network learns to outline it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from scripts.cases.checks import percent
from scripts.cases.masks import ROI, absent_structures, check_drawn, drawn_structures, masks_of
from scripts.cases.splits import Splits, everyone
from scripts.files.plain_text import note
from scripts.networks.plan import LEAST_EDGE, divisors, plan_stages
from workbench.prepare.grids import CaseGrids, Reference, product
from workbench.prepare.survey import MOST_VOXELS

ANISOTROPIC = 3.0  # slices so many times thicker than pixels are wide count as thick, as in nnU-Net
THICK_QUANTILE = 10.0  # %, of the thickness of slices that then is taken, as in nnU-Net
STAGES = 4  # of the network in configs/segment.yaml
FEW = 2 * LEAST_EDGE  # slices; with fewer the network never halves them
FLAT = 2.0 ** (STAGES - 1)  # slices so many times thicker than pixels are wide meet in the last stage alone


@dataclass(frozen=True)
class OutlineGrid:
    """Voxels and patches that suit `segmenting`, and why."""

    spacing: list[float]  # mm along R, A, S
    patch: list[int]  # voxels along R, A, S
    reason: str

    def line(self) -> str:
        """Return the proposal as a sentence."""
        return f"outlines: patches of {product(self.patch)} voxels of {product(self.spacing)} mm; {self.reason}"

    def arguments(self, prefix: str = "") -> str:
        """Return the proposal as arguments of a command; `prefix` is that of a classifier's keys."""
        return f' --{prefix}spacing "{self.spacing}" --{prefix}grid_size "{self.patch}"'


def outline_grid(grids: Sequence[CaseGrids], reference: Reference, cases: Set[str]) -> OutlineGrid:
    """Plan voxels and patches from the headers of cases, by their reference phase or, without it, their first.

    Args:
        grids: of all cases, which the masks may lack.
        cases: names of those that decide.
    """
    chosen = [one for one in grids if one.case in cases]
    phases = [reference.phase if reference.phase in one.volumes else next(iter(one.volumes)) for one in chosen]
    spacings = np.array([one.spacing(phase) for one, phase in zip(chosen, phases, strict=True)])
    edges = np.array([one.whole(phase) for one, phase in zip(chosen, phases, strict=True)])
    return plan_outlines(spacings, edges)


def plan_outlines(spacings: np.ndarray, edges: np.ndarray) -> OutlineGrid:
    """Plan voxels and patches by nnU-Net's rule, for patches of at most about 64^3 voxels.

    The spacing is the median of each axis; where slices are more than 3 times as thick as pixels are wide, their
    thickness is the 10% quantile. A patch is as near to a cube in mm as the median scan allows, its edges multiples of
    what the network halves them by. Scans of fewer than 8 slices, or whose slices are 8 times as thick as
    pixels are wide, get patches of one slice, which the network reads in 2D.

    Args:
        spacings: mm per voxel along R, A, S, [N, 3].
        edges: of the scans, mm along R, A, S, [N, 3].

    Reference: Isensee et al., nnU-Net, Nature Methods 2021, supplementary note 2.

    >>> plan_outlines(np.array([[0.8, 0.8, 5.0]] * 9), np.array([[400.0, 400.0, 200.0]] * 9)).patch
    [120, 120, 18]
    >>> plan_outlines(np.array([[1.5, 1.5, 10.0]] * 9), np.array([[300.0, 300.0, 70.0]] * 9)).patch
    [200, 200, 1]
    """
    spacing = np.median(spacings, axis=0)
    thick = int(spacing.argmax())
    times = spacing[thick] / np.delete(spacing, thick).max()
    size = np.median(edges / spacings, axis=0)
    few = int(size.argmin())
    flat = None
    if times >= FLAT or size[few] < FEW:
        flat = thick if times >= FLAT else few
        thickness = f"slices are {times:.2g} times as thick as pixels are wide"
        reason = f"2D, as {thickness if times >= FLAT else f'the median scan has {size[few]:.0f} slices'}"
    else:
        reason = "median spacing"
        if times > ANISOTROPIC:
            thinnest = np.delete(spacing, thick).max()
            spacing[thick] = max(np.percentile(spacings[:, thick], THICK_QUANTILE), thinnest)
            reason += (
                f" (of slices the {THICK_QUANTILE:g}% quantile), flat kernels in the finer stages, as slices are "
                f"{times:.2g} times as thick as pixels are wide"
            )
    spacing = np.array([float(f"{value:.2g}") for value in spacing])
    whole = np.median(edges / spacing, axis=0)
    patch = _patch(spacing, np.where(np.arange(3) == flat, 1.0, whole))
    seen = np.minimum(patch / whole, 1).prod()
    reason += f"; a patch shows {percent(float(seen))} of the median scan"
    return OutlineGrid(spacing.tolist(), [int(voxels) for voxels in patch], reason)


def _patch(spacing: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Return the patch nearest to a cube in mm with at most about `MOST_VOXELS`, no axis longer than its bound."""
    patch = np.zeros(3)
    free = np.ones(3, dtype=bool)
    while free.any():
        room = MOST_VOXELS / np.where(free, 1.0, patch).prod()
        edge = (room * spacing[free].prod()) ** (1 / free.sum())  # mm
        patch[free] = edge / spacing[free]
        beyond = free & (patch > bound)
        if not beyond.any():
            break
        patch[beyond], free = bound[beyond], free & ~beyond
    steps = divisors(plan_stages(spacing.tolist(), np.maximum(patch.round(), 1).astype(int).tolist(), STAGES)[1])
    return np.maximum(np.round(patch / steps), 1) * steps


def look_at_masks(
    splits: Splits, structures: Sequence[str], named: bool, outlines: bool, workers: int | None = None
) -> tuple[dict[str, set[int]], list[str]]:
    """Read the masks whose values have names, or which are all there is to learn.

    Args:
        structures: names of the values 1, 2, ...
        named: whether the user gave these names.
        outlines: whether no case has a class.

    Returns:
        Case -> values drawn, nothing where masks are not read, and warnings of structures that no training case shows.

    Raises:
        ValueError: without classes, such a structure; names, but no mask.
    """
    if named and not any(case.get("roi") for case in everyone(splits)):
        raise ValueError(
            "--structures names the values of masks, found no case with one; correct the names of the masks' files, or "
            "leave --structures out"
        )
    if not structures and not outlines:
        return {}, []
    drawn = drawn_structures(everyone(splits), structures, workers)
    training = {case["case"]: drawn[case["case"]] for case in splits["training"] if case["case"] in drawn}
    if outlines:
        check_drawn(training, structures)
    absent = absent_structures(training.values(), structures) if training else []
    return drawn, [f"warning: structure {one} is in no mask of a training case" for one in absent]


def mask_lines(
    splits: Splits, phases: Sequence[str], structures: Sequence[str], drawn: Mapping[str, Set[int]]
) -> list[str]:
    """Return how many cases have masks, of which phases, what their values are called, and how often each is drawn.

    Args:
        drawn: of `look_at_masks`; empty where masks were not read for their values.
    """
    cases = everyone(splits)
    masked = [case for case in cases if masks_of(case.get("roi"))]
    if not masked or not (structures or drawn):
        return []
    counts = {phase: sum(phase in masks_of(case["roi"]) for case in masked) for phase in [ROI, *phases]}
    of = ", ".join(f"{phase} {count}" for phase, count in counts.items() if count and phase != ROI)
    one = f"{counts[ROI]} for all phases together" if counts[ROI] else ""
    lines = [f"masks: {len(masked)} of {len(cases)} cases have them: {'; '.join(filter(None, [one, of]))}"]
    if structures:
        names = [
            f"{value} {name} ({sum(value in values for values in drawn.values())} cases)"
            for value, name in enumerate(structures, start=1)
        ]
        lines.append(f"structures, by the value of the masks: {', '.join(names)}")
    empty = [case for case, values in drawn.items() if not values]
    return [*lines, *([note("cases in whose masks nothing is drawn", empty)] if empty else [])]
