# SPDX-License-Identifier: Apache-2.0
"""One batch as pictures: what the network really sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.figures.panels import LONGEST_TITLE, new_figure, saved
from scripts.figures.text import wrap
from workbench.explain.slices import (
    AXES_OF_VIEW,
    anatomical_slice,
    draw_empty,
    draw_slice,
    grey_range,
    picture_grid,
    write_directions,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

TILE = 1.5  # inches, width of a picture
MOST_ROWS = 4
MOST_PHASES_IN_TWO = 4
"""Phases up to which cases stand in two blocks side by side, so that a page shows them large."""


def montage_figure(
    image: Tensor | np.ndarray,
    present: Tensor | np.ndarray,
    cases: Sequence[str],
    phases: Sequence[str],
    classes: Sequence[str],
    labels: Sequence[int] | Tensor | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    view: str = "axial",
    orientation: str | None = "RAS",
    max_cases: int = 8,
    path: str | Path | None = None,
    seen: Tensor | np.ndarray | None = None,
) -> Figure:
    """Draw the middle slice of every phase, one case per row; a box without a picture says why.

    Slices lie as radiologists read them: anterior (or superior) up, the patient's right on the left of an
    axial or coronal slice, anterior on the left of a sagittal one. All phases of a case share one grey scale,
    so a lesion that is brighter in one phase is brighter in the picture.

    Args:
        image: one batch as it enters the network.
        present: which phases are there.
        labels: index of the true class per case; without it no class is written.
        spacing: mm per voxel along the three grid axes, so that slices have their true proportions.
        view: axial, coronal or sagittal.
        orientation: where the three grid axes point, three letters such as RAS. None where that is not
            known, as after random flips: slices lie as for RAS, but no direction is written.
        max_cases: cases at most; with more than 4 phases 4 at most. The title says how many were left out.
        seen: which of the present phases training does not hide, [B, P] bool; None: all.

    Shape:
        image: [B, P, D, H, W]. present: [B, P] bool.

    Raises:
        ValueError: shapes that do not agree, an unknown view or orientation, a folder that cannot be written.
    """
    volumes, there = _as_array(image), _as_array(present).astype(bool)
    kept = there if seen is None else _as_array(seen).astype(bool)
    number = None if labels is None else [int(value) for value in _as_array(labels)]
    _check(volumes, there, cases, phases, number, classes, view, orientation)
    blocks = 2 if len(phases) <= MOST_PHASES_IN_TWO and min(len(cases), max_cases) > MOST_ROWS else 1
    count = min(len(cases), max_cases, MOST_ROWS * blocks)
    rows = -(-count // blocks)
    axes_of_grid = orientation or "RAS"
    first, aspect = anatomical_slice(volumes[0, 0], view, axes_of_grid, spacing)
    height = TILE * min(2.0, max(0.5, first.shape[0] * aspect / first.shape[1]))
    figure = new_figure(blocks * (1.5 + TILE * len(phases)), 0.9 + (height + 0.06) * rows)
    grid = picture_grid(figure, rows, blocks, len(phases), 0.08)
    case_names = [wrap(name, 14) for name in figure.names(cases, "case", 20)]
    class_names = [wrap(name, 14) for name in figure.names(classes, "class", 20)]
    titles = [wrap(phase, 14) for phase in figure.names(phases, "phase", LONGEST_TITLE)]
    for b in range(count):
        grey = grey_range(volumes[b][there[b]])
        for p, title in enumerate(titles):
            axes = grid[b, p]
            picture, aspect = anatomical_slice(volumes[b, p], view, axes_of_grid, spacing)
            if not there[b, p]:
                draw_empty(axes, f"{title}\nmissing", first.shape, aspect)
            elif not kept[b, p]:
                draw_empty(axes, "hidden in\ntraining", first.shape, aspect)
            elif np.ptp(picture) == 0:
                draw_empty(axes, "nothing in\nthis slice", first.shape, aspect)
            else:
                draw_slice(axes, picture, grey, aspect)
                if b == 0 and orientation is not None:
                    write_directions(axes, view)
            if b % rows == 0:
                axes.set_title(title, fontsize=11)
        text = case_names[b] + ("" if number is None else f"\n{class_names[number[b]]}")
        grid[b, 0].set_ylabel(text, fontsize=11, rotation=0, ha="right", va="center", labelpad=6)
    for axes in grid[count:].flat:
        axes.remove()
    shown = f"{count} of {len(cases)} cases" if count < len(cases) else f"{count} case{'s' * (count > 1)}"
    kind = "middle slices" if orientation is None else f"{view} middle slices"
    figure.suptitle(f"{kind}, {shown}", fontsize=12)
    return saved(figure, path)


def _as_array(values: Any) -> np.ndarray:
    """Turn a tensor of any device and float type, or a list, into an array."""
    return values.detach().cpu().float().numpy() if hasattr(values, "detach") else np.asarray(values)


def _check(
    volumes: np.ndarray,
    there: np.ndarray,
    cases: Sequence[str],
    phases: Sequence[str],
    number: Sequence[int] | None,
    classes: Sequence[str],
    view: str,
    orientation: str | None,
) -> None:
    """Hold shapes, names and directions against each other."""
    expected = (len(cases), len(phases))
    if volumes.ndim != 5 or volumes.shape[:2] != expected or there.shape != expected:
        raise ValueError(
            f"the montage needs image [B, P, D, H, W] and present [B, P] for B = {expected[0]} cases and P = "
            f"{expected[1]} phases, found {list(volumes.shape)} and {list(there.shape)}"
        )
    if number is not None and (len(number) != len(cases) or not all(0 <= k < len(classes) for k in number)):
        raise ValueError(f"the montage needs one label in 0..{len(classes) - 1} per case, found {list(number)}")
    if view not in AXES_OF_VIEW:
        raise ValueError(f"view must be one of {', '.join(AXES_OF_VIEW)}, found {view!r}")
    pairs = ("LR", "PA", "IS")
    if orientation is not None and (
        len(orientation) != 3 or any(sum(x in pair for x in orientation) != 1 for pair in pairs)
    ):
        raise ValueError(f"orientation must be three letters such as RAS, found {orientation!r}")
