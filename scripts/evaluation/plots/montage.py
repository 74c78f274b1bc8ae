"""One batch as pictures: what the network really sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.evaluation.plots.slices import (
    AXES_OF_VIEW,
    anatomical_slice,
    draw_empty,
    grey_range,
    write_directions,
)
from scripts.evaluation.plots.style import new_figure, save_figure, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


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
) -> Figure:
    """Draw the middle slice of every phase, one case per row; an absent phase is an empty box that says so.

    Slices lie as radiologists read them: anterior (or superior) up, the patient's right on the left of an
    axial or coronal slice, anterior on the left of a sagittal one. All phases of a case share one grey scale,
    so a lesion that is brighter in one phase is brighter in the picture.

    Args:
        image: one batch as it enters the network.
        present: which phases are there.
        cases: B case names.
        phases: P phase names.
        classes: K class names.
        labels: index of the true class per case; without it no class is written.
        spacing: mm per voxel along the three grid axes, so that slices have their true proportions.
        view: axial, coronal or sagittal.
        orientation: where the three grid axes point, three letters such as RAS. None where that is not
            known, as after random flips: slices lie as for RAS, but no direction is written.
        max_cases: rows at most; the title says how many were left out.
        path: where to save the figure, too.

    Shape:
        image: [B, P, D, H, W]. present: [B, P] bool.

    Raises:
        ValueError: shapes that do not agree, an unknown view or orientation, a folder that cannot be written.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    volumes, there = _as_array(image), _as_array(present).astype(bool)
    number = None if labels is None else [int(value) for value in _as_array(labels)]
    _check(volumes, there, cases, phases, number, classes, view, orientation)
    rows, columns = min(len(cases), max_cases), len(phases)
    axes_of_grid = orientation or "RAS"
    first, aspect = anatomical_slice(volumes[0, 0], view, axes_of_grid, spacing)
    height = 1.75 * min(2.0, max(0.5, first.shape[0] * aspect / first.shape[1]))
    figure = new_figure(1.3 + 1.75 * columns, 0.8 + (height + 0.06) * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01))
    for b in range(rows):
        shown = volumes[b][there[b]]
        lower, upper = grey_range(shown)
        for p, phase in enumerate(phases):
            axes = grid[b, p]
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_color("#BBBBBB")
            if there[b, p]:
                picture, aspect = anatomical_slice(volumes[b, p], view, axes_of_grid, spacing)
                axes.imshow(
                    picture, cmap="gray", vmin=lower, vmax=upper, aspect=aspect, interpolation="nearest"
                )
                if b == 0 and orientation is not None:
                    write_directions(axes, view)
            else:
                draw_empty(axes, f"{shorten(phase, 14)}\nmissing", first.shape, aspect)
            if b == 0:
                axes.set_title(shorten(phase, 18), fontsize=10)
        text = shorten(cases[b], 20) + ("" if number is None else f"\n{shorten(classes[number[b]], 20)}")
        grid[b, 0].set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
    count = f"{rows} of {len(cases)} cases" if rows < len(cases) else f"{rows} case{'s' if rows > 1 else ''}"
    kind = "middle slices" if orientation is None else f"{view} middle slices"
    figure.suptitle(f"{kind}, {count}", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


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
        raise ValueError(
            f"the montage needs one label in 0..{len(classes) - 1} per case, found {list(number)}"
        )
    if view not in AXES_OF_VIEW:
        raise ValueError(f"view must be one of {', '.join(AXES_OF_VIEW)}, found {view!r}")
    pairs = ("LR", "PA", "IS")
    if orientation is not None and (
        len(orientation) != 3 or any(sum(x in pair for x in orientation) != 1 for pair in pairs)
    ):
        raise ValueError(f"orientation must be three letters such as RAS, found {orientation!r}")
