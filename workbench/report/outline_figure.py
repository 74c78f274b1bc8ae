# SPDX-License-Identifier: Apache-2.0
"""Pictures of outlines: over the scans of the best, a middle and the worst case, Dice of all cases, and FROC curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.engines.outlines import drawn_path, outline_path
from scripts.figures.panels import BAND, COLOURS, GREY, LONGEST_TITLE, new_figure, plain_axes, saved
from scripts.files.csv_text import read_rows
from scripts.metrics.lesions import FALSE_POSITIVES
from scripts.volumes.label_map import read_label_map, sample_labels
from scripts.volumes.open import open_volume
from scripts.volumes.volume import Volume
from workbench.explain.phase_slice import (
    anatomical_slice,
    axes_of_view,
    draw_slice,
    grey_range,
    orientation_of,
    view_of,
    write_directions,
    write_empty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, str]
LINES = {"drawn by the expert": "--", "outlined": "-"}
ON_GREY = tuple(COLOURS[i] for i in (4, 5, 3, 2, 1, 0))  # the palette's bright colours first, to be seen on scans


def draw_outlines(
    place: Path, data: Sequence[Mapping[str, Any]], phases: Sequence[str], structures: Sequence[str], masks: str,
    reference: str,
) -> None:  # fmt: skip
    """Write ``outlines.png``, ``dice.png`` and ``froc.png`` beside ``outlines.csv``; nothing where there is none.

    ``froc.png`` needs lesions, which metrics.json has where there is one structure.

    Args:
        place: folder of the evaluation.
        data: items of the dataset with the paths of their files.
        phases, structures: names, in order.
        masks: ``case`` or ``phase``.
        reference: name of the reference phase.
    """
    file = place / "outlines.csv"
    if not file.is_file():
        return
    rows = read_rows(file)[1]
    dice_figure(rows, structures, place / "dice.png")
    lesions = lesions_of(json.loads((place / "metrics.json").read_text(encoding="utf-8")))
    if any(one["froc"] for one in lesions.values()):
        froc_figure(lesions, place / "froc.png")
    scores = mean_dice(rows)
    ranked = sorted(scores, key=lambda case: -scores[case])
    if not ranked:
        return
    shown = list(dict.fromkeys([ranked[0], ranked[len(ranked) // 2], ranked[-1]]))
    items = {str(item["case"]): item for item in data}
    shots = list(phases) if masks == "phase" else [reference]
    figure = new_figure(0.5 + 3.4 * len(shown), 1.2 + 3.4 * len(shots))
    grid = figure.subplots(len(shots), len(shown), squeeze=False)
    titles = figure.names(shots, "phase", LONGEST_TITLE)
    names = figure.names(shown, "case", 40)
    for line, shot, title in zip(grid, shots, titles, strict=True):
        line[0].set_ylabel(title, fontsize=11)
        for axes, case in zip(line, shown, strict=True):
            axes.set(xticks=[], yticks=[])
            _draw_case(axes, place, items[case], shot, masks, len(structures))
    kinds = ("best", "middle", "worst") if len(shown) == 3 else ("case",) * len(shown)
    for axes, kind, name, case in zip(grid[0], kinds, names, shown, strict=True):
        axes.set_title(f"{kind}: {name}\nDice {scores[case]:.2f}", fontsize=11)
    _legend(figure, structures)
    saved(figure, place / "outlines.png")


def mean_dice(rows: Sequence[Row]) -> dict[str, float]:
    """Return the mean Dice coefficient of each case over its masks and structures, where it is defined."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["dice"]:
            values.setdefault(row["case"], []).append(float(row["dice"]))
    return {case: float(np.mean(found)) for case, found in values.items()}


def _draw_case(axes: Axes, place: Path, item: Mapping[str, Any], phase: str, masks: str, structures: int) -> None:
    """Draw the slice with the most of what the expert drew, both outlines on it."""
    path = outline_path(place, str(item["case"]), phase if masks == "phase" else "")
    phase = phase if item["image"].get(phase) else next(iter(item["image"]))
    if not path.is_file():
        write_empty(axes, "missing")
        return
    volume = open_volume(item["image"][phase], phase)
    outlined = read_label_map(open_volume(str(path), "outline"))
    drawn = _on_voxels(drawn_path(item, phase, masks, phase), volume, structures)
    view, letters = view_of(volume), orientation_of(volume)
    through = axes_of_view(view, letters)[2]
    most = outlined if drawn is None or not drawn.any() else drawn
    others = tuple(axis for axis in range(3) if axis != through)
    number = int((most > 0).sum(axis=others).argmax())
    spacing = volume.spacing.tolist()
    picture, aspect = anatomical_slice(volume.read(), view, letters, spacing, number)
    draw_slice(axes, picture, grey_range(picture), aspect)
    for labels, style in ((drawn, "--"), (outlined, "-")):
        if labels is None:
            continue
        flat = anatomical_slice(labels, view, letters, spacing, number)[0]
        for value in range(1, structures + 1):
            inside = (flat == value).astype(float)
            if inside.any() and not inside.all():
                axes.contour(inside, levels=[0.5], colors=[ON_GREY[(value - 1) % 6]], linestyles=style, linewidths=1.8)
    write_directions(axes, view)


def _on_voxels(path: str | None, volume: Volume, structures: int) -> np.ndarray | None:
    """Return a mask on the voxels of a volume."""
    if path is None:
        return None
    mask = open_volume(path, "roi")
    labels = mask.read()
    labels = (labels > 0 if structures == 1 else np.round(labels)).astype(np.uint8)
    return sample_labels(labels, mask.affine, volume.affine, volume.shape, structures)[0]


def _legend(figure: Any, structures: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    names = figure.names(structures, "structure", 40)
    lines = [Line2D([], [], color=ON_GREY[i % 6], lw=2, label=name) for i, name in enumerate(names)]
    lines += [Line2D([], [], color=GREY, lw=1.5, ls=style, label=text) for text, style in LINES.items()]
    title = "each the slice in which most is drawn"
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False, fontsize=10, title=title)


def dice_figure(rows: Sequence[Row], structures: Sequence[str], path: Path | None = None) -> Any:
    """Draw the Dice coefficients of all cases, one box per structure and mask."""
    masks = list(dict.fromkeys(row["mask"] for row in rows))
    groups = [(structure, mask) for structure in structures for mask in masks]
    values = [
        [float(row["dice"]) for row in rows if (row["structure"], row["mask"]) == group and row["dice"]]
        for group in groups
    ]
    figure = new_figure(max(5.2, 2.0 + 1.1 * len(groups)), 4.4)
    axes = figure.subplots()
    names = dict(zip(structures, figure.names(structures, "structure", 18), strict=True))
    of_masks = dict(zip(masks, figure.names(masks, "phase", 14), strict=True))
    for number, found in enumerate(values):
        colour = ON_GREY[list(structures).index(groups[number][0]) % 6]
        axes.boxplot(found, positions=[number], widths=0.5, showfliers=False, medianprops={"color": "black"})
        spread = np.linspace(-0.17, 0.17, len(found)) if len(found) > 1 else [0.0] * len(found)
        axes.plot(number + np.asarray(spread), found, ".", color=colour, alpha=0.6)
    labels = [
        f"{names[structure]}{f', {of_masks[mask]}' if mask else ''}\nn = {len(found)}"
        for (structure, mask), found in zip(groups, values, strict=True)
    ]
    axes.set_xticks(range(len(groups)), labels, fontsize=9)
    axes.set(ylim=(-0.02, 1.02), ylabel="Dice")
    axes.set_title("Overlap with the expert's outline, each point a case", fontsize=11)
    plain_axes(axes)
    return saved(figure, path)


def lesions_of(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what metrics.json says about lesions, by phase of the mask; "" where one serves all phases."""
    whole = {"": metrics["lesions"]} if "lesions" in metrics else {}
    return whole | dict(metrics.get("lesions_by_phase", {}))


def froc_figure(lesions: Mapping[str, Mapping[str, Any]], path: Path | None = None) -> Any:
    """Draw the FROC curves of `lesions_of` with their bands, and the points where all pieces count."""
    figure = new_figure(5.6, 4.6)
    axes = figure.subplots()
    names = figure.names(list(lesions), "phase", 18) if any(lesions) else [""]
    for colour, name, one in zip(COLOURS, names, lesions.values(), strict=False):
        if not one["froc"]:
            continue
        rates, found, lower, upper = (np.array(column, dtype=float) for column in zip(*one["froc"], strict=True))
        axes.fill_between(rates, lower, upper, step="post", color=colour, alpha=0.18, linewidth=0, label=BAND)
        counts = f"{one['n_lesions']:,} lesions, {one['n_cases']:,} cases"
        axes.step(rates, found, where="post", color=colour, linewidth=2.2, label=f"{name}{': ' * bool(name)}{counts}")
        if one["false_positives_per_case"] <= FALSE_POSITIVES[-1]:
            style: dict[str, Any] = {"color": colour, "markersize": 7, "clip_on": False, "linestyle": ""}
            place = ([one["false_positives_per_case"]], [one["sensitivity"]])
            axes.plot(*place, marker="o", label="every outlined piece counts", **style)
    axes.set(xlabel="false positives per case", ylabel="share of lesions found", ylim=(-0.02, 1.02))
    axes.set_xlim(0, max(1.02 * axes.get_xlim()[1], 0.125))
    axes.set_title("FROC curve, the surest pieces first", fontsize=11)
    plain_axes(axes)
    axes.legend(loc="lower right", fontsize=9, framealpha=0.9)
    return saved(figure, path)
