# SPDX-License-Identifier: Apache-2.0
"""Learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.figures.panels import COLOURS, DASHED, GREY, new_figure, plain_axes, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"train_loss": "training", "validation_loss": "validation"}
SCORES = {
    "validation_auc": "AUC, validation",
    "train_auc": "AUC, training",
    "validation_accuracy": "accuracy, validation",
    "train_accuracy": "accuracy, training",
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

    A training score that rises while that of validation does not is overfitting. A raw curve is thin where
    its smoothed one is there too. Values that are absent, None or not finite are left out, so training loss
    every epoch and validation every few epochs may share one history.

    Args:
        history: one dictionary per record with `epoch` (may be fractional) and any of train_loss,
            validation_loss, train_auc, train_accuracy, validation_auc, validation_accuracy, each also with
            the ending _smoothed; and selection, the score (higher is better) by which the weights were
            chosen, which is drawn as a loss where it is minus a loss.
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
    """Draw one quantity raw and smoothed, as far as recorded; return the number of lines."""
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
    """Draw the selection score in the panel of its scale, unless it equals a raw curve there."""
    epochs, values = _points(history, SELECTION)
    if not values or (min(values) < 0) != is_loss:
        return False
    shown = [-value for value in values] if is_loss else values
    if any(_points(history, key) == (epochs, shown) for key in keys):
        return False
    axes.plot(epochs, shown, color="black", linewidth=1.8, label="selection score")
    return True


def _points(history: Sequence[Mapping[str, float | None]], key: str) -> tuple[list[float], list[float]]:
    """Return epochs and finite values of one key, in the order of epochs."""
    found = sorted(
        (float(record["epoch"]), float(value))
        for record in history
        if record["epoch"] is not None and (value := record.get(key)) is not None and isfinite(value)
    )
    return [epoch for epoch, _ in found], [value for _, value in found]
