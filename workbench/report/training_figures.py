# SPDX-License-Identifier: Apache-2.0
"""Figures of a training: its first batch as the network sees it, and its learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.figures.panels import COLOURS, DASHED, GREY, LONGEST_TITLE, new_figure, plain_axes, saved
from scripts.figures.text import wrap
from workbench.explain.phase_slice import (
    AXES_OF_VIEW,
    anatomical_slice,
    draw_empty,
    draw_slice,
    grey_range,
    picture_grid,
    write_directions,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

TILE = 1.5  # inches, width of a picture
MOST_ROWS = 4
MOST_PHASES_IN_TWO = 4
"""Up to this number of phases, cases are shown in two blocks side by side, so that a page shows them large."""


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

    Slices are shown in radiological convention: anterior (or superior) up, the patient's right on the left of an
    axial or coronal slice, anterior on the left of a sagittal one. All phases of a case share one grey scale, so
    that a lesion that is brighter in one phase is brighter in the picture.

    Args:
        image: one batch as it enters the network.
        present: which phases are present.
        labels: index of the true class per case; without it no class is written.
        spacing: mm per voxel along the three grid axes, so that slices have their true proportions.
        view: axial, coronal or sagittal.
        orientation: directions of the three grid axes, three letters such as RAS. None if unknown, as after
            random flips: slices are laid out as for RAS, without directions.
        max_cases: maximum number of cases; with more than 4 phases at most 4. The title says how many are shown.
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
    """Return a tensor of any device and float type, or a list, as an array."""
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
    """Check that shapes, names and directions agree."""
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


LOSSES = {"train_loss": "training", "validation_loss": "validation"}
SCORES = {
    "validation_auc": "AUC, validation",
    "train_auc": "AUC, training",
    "validation_accuracy": "accuracy, validation",
    "train_accuracy": "accuracy, training",
    "validation_dice": "Dice, validation",
}
SMOOTHED = "_smoothed"
SELECTION = "selection"


def curves_figure(
    history: Sequence[Mapping[str, float | None]],
    chosen_epoch: float | None = None,
    name: str = "",
    path: str | Path | None = None,
) -> Figure:
    """Draw the losses above and AUC and accuracy below, over the epochs; training is dashed.

    A training score that rises while the validation score does not indicates overfitting. A raw curve is thin if
    its smoothed version is drawn as well. Values that are absent, None or not finite are left out, so that a
    training loss of every epoch and a validation of every few epochs can share one history.

    Args:
        history: one dictionary per record with `epoch` (may be fractional) and any of train_loss,
            validation_loss, train_auc, train_accuracy, validation_auc, validation_accuracy, each also with
            the ending _smoothed; and selection, the score (higher is better) by which the weights were
            chosen, which is drawn as a loss if it is a negative loss.
        chosen_epoch: the epoch whose weights were kept, marked in both panels.

    Raises:
        ValueError: no record, a record without epoch, or a folder that cannot be written.
    """
    if not history or any("epoch" not in record for record in history):
        raise ValueError(
            f"learning curves need at least one record, each with the key epoch, found {len(history)} records"
        )
    figure = new_figure(7.2, 6.2)
    losses, scores = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.2))
    for axes, keys, title in ((losses, LOSSES, "loss"), (scores, SCORES, "score")):
        drawn = 0
        for i, (key, label) in enumerate(keys.items()):
            drawn += _draw(axes, history, key, label, COLOURS[i] if axes is losses else COLOURS[2 + i // 2])
        drawn += _draw_selection(axes, history, keys, axes is losses)
        axes.set_ylabel(title)
        plain_axes(axes)
        if chosen_epoch is not None:
            axes.axvline(chosen_epoch, label=f"chosen: epoch {chosen_epoch:g}", **DASHED | {"linewidth": 1.2})
        if drawn or chosen_epoch is not None:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
        if not drawn:
            axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=GREY)
    scores.set_xlabel("epoch")
    scores.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    figure.suptitle(f"Learning curves{f', {name}' if name else ''}", fontsize=12)
    return saved(figure, path)


def _draw(axes: Axes, history: Sequence[Mapping[str, float | None]], key: str, label: str, colour: str) -> int:
    """Draw one quantity, raw and smoothed, as far as recorded; return the number of lines."""
    dashes = "--" if key.startswith("train") else "-"
    raw, smooth = _points(history, key), _points(history, key + SMOOTHED)
    if raw[0]:
        width, alpha = (1.0, 0.45) if smooth[0] else (1.8, 1.0)
        marker = "o" if len(raw[0]) <= 40 else ""
        style: dict[str, Any] = {"marker": marker, "markersize": 3, "linewidth": width, "alpha": alpha}
        axes.plot(*raw, color=colour, label=label, ls=dashes, **style)
    if smooth[0]:
        axes.plot(*smooth, color=colour, linewidth=2.2, label=f"{label}, smoothed", ls=dashes)
    return bool(raw[0]) + bool(smooth[0])


def _draw_selection(
    axes: Axes, history: Sequence[Mapping[str, float | None]], keys: Mapping[str, str], is_loss: bool
) -> bool:
    """Draw the selection score in the panel of matching scale, unless it equals a raw curve there."""
    epochs, values = _points(history, SELECTION)
    if not values or (min(values) < 0) != is_loss:
        return False
    shown = [-value for value in values] if is_loss else values
    if any(_points(history, key) == (epochs, shown) for key in keys):
        return False
    axes.plot(epochs, shown, color="black", linewidth=1.8, label="selection score")
    return True


def _points(history: Sequence[Mapping[str, float | None]], key: str) -> tuple[list[float], list[float]]:
    """Return epochs and finite values of one key, sorted by epoch."""
    found = sorted(
        (float(record["epoch"]), float(value))
        for record in history
        if record["epoch"] is not None and (value := record.get(key)) is not None and isfinite(value)
    )
    return [epoch for epoch, _ in found], [value for _, value in found]
