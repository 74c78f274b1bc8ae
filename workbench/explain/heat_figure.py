# SPDX-License-Identifier: Apache-2.0
"""Where the network looked: heat over the original slices of every phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.figures.panels import GREY, LONGEST_TITLE, new_figure, saved
from scripts.figures.text import wrap
from workbench.explain.case_explanation import CaseExplanation
from workbench.explain.phase_slice import (
    PhaseSlice,
    phase_slice,
    shown_position,
    view_of,
    write_directions,
    write_empty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LEAST_POINTS = 10.0
"""The scale of occlusion reaches at least this far, in points of probability, so that small changes stay pale."""
DARK = 0.6  # Brightness of the whitest tissue under heat (1 is white), so that colours stand out
ACTIVATION_NAMES = {"layer_cam": "LayerCAM", "grad_cam": "Grad-CAM++"}


@dataclass(frozen=True)
class Scale:
    """How the heat of a method is drawn: name, unit, colours, factor and limits."""

    name: str
    unit: str
    colours: str
    factor: float
    lower: float
    upper: float


def heat_figure(
    found: CaseExplanation, phases: Sequence[str], classes: Sequence[str], path: str | Path | None = None
) -> Figure:
    """Draw one slice of every phase: the scan alone, then under the heat of each method.

    All slices pass through one position: the centre of the lesion mask, which is outlined, or the hottest
    voxel if a case has no mask. They lie in the plane in which the reference phase was acquired. The heat
    of a method has one scale for all phases, shown by its colour bar; that of occlusion reaches at least 10
    points. Each phase has its own grey scale, darker under heat.

    Args:
        found: the explanation of one case, with heat.
        phases: names of all phases, in order; one that the case lacks stays empty.

    Raises:
        ValueError: a folder that cannot be written.
    """
    position, view = shown_position(found), view_of(found.volumes[found.reference])
    slices = {phase: phase_slice(found, phase, position, view) for phase in phases if phase in found.volumes}
    scales = {method: _scale(method, found) for method in found.heat}
    tall = float(np.clip(np.mean([part.height for part in slices.values()]), 0.5, 1.8))
    figure = new_figure(2.2 + 2.1 * len(phases), 1.0 + (2.1 * tall + 0.1) * (1 + len(scales)))
    shown, titles = figure.names(classes, "class", 60), figure.names(phases, "phase", LONGEST_TITLE)
    widths = [0.62, *[1.0] * len(phases), 0.06]  # names of the rows, phases, colour bars
    panels = figure.subplots(1 + len(scales), len(widths), squeeze=False, width_ratios=widths)
    names, grid, bars = panels[:, 0], panels[:, 1:-1], panels[:, -1]
    for axes in (*names, bars[0]):
        axes.set_axis_off()
    for number, phase in enumerate(phases):
        grid[0, number].set_title(wrap(titles[number], 14), fontsize=11)
        for axes in grid[:, number]:
            axes.set_xticks([])
            axes.set_yticks([])
            if phase in slices and axes is grid[0, number]:
                _draw_slice(axes, slices[phase])
            elif phase not in slices:
                axes.set_box_aspect(tall)
                write_empty(axes, "missing")
    write_directions(grid[0, phases.index(next(iter(slices)))], view)
    _label(names[0], "scan")
    for row, (method, scale) in enumerate(scales.items(), 1):
        _label(names[row], f"{scale.name}\n\n{_place(found, phases, titles, method)}")
        for phase, axes in zip(phases, grid[row], strict=True):
            if phase in slices:
                _draw_slice(axes, slices[phase], method, scale)
        _draw_bar(figure, bars[row], scale)
    figure.suptitle(_title(figure.names([found.case], "case", 40)[0], found, shown), fontsize=12)
    through = "the centre of the lesion (outlined)" if found.lesion is not None else "the hottest point"
    figure.supxlabel(f"{view} slices through {through}", fontsize=9, color=GREY)
    return saved(figure, path)


def _scale(method: str, found: CaseExplanation) -> Scale:
    """Return the scale of a method's heat, the same for all phases of the case."""
    if method in ACTIVATION_NAMES:
        unit = "evidence, relative:\nhottest point of the case = 1"
        return Scale(ACTIVATION_NAMES[method], unit, "plasma", 1.0, 0.0, 1.0)
    largest = max(float(np.abs(heat).max()) for heat in found.heat[method].values())
    limit = max(100 * largest, LEAST_POINTS)
    unit = "points of probability lost\nwhen covered"
    return Scale("occlusion", unit, "coolwarm", 100.0, -limit, limit)


def _draw_slice(axes: Axes, part: PhaseSlice, method: str = "", scale: Scale | None = None) -> None:
    """Draw the slice with its lesion outlined, darkened under heat; the fainter the heat, the more transparent."""
    lower, upper = np.percentile(part.scan, (1, 99))
    white = lower + max(upper - lower, 1e-6) / (1.0 if scale is None else DARK)
    shown = part.scan.clip(max=np.percentile(part.scan, 99))
    axes.imshow(shown, cmap="gray", vmin=lower, vmax=white, aspect=part.aspect)
    if scale is not None:
        values = part.heat[method] * scale.factor
        alpha = 0.85 * np.clip(np.abs(values) / scale.upper, 0, 1) ** 0.7
        style: dict[str, Any] = {"vmin": scale.lower, "vmax": scale.upper, "interpolation": "bilinear"}
        axes.imshow(values, cmap=scale.colours, aspect=part.aspect, alpha=alpha, **style)
    if part.lesion is not None and part.lesion.min() < 0.5 <= part.lesion.max():
        axes.contour(part.lesion, levels=[0.5], colors="#36E0C8", linewidths=1.2)


def _draw_bar(figure: Figure, axes: Axes, scale: Scale) -> None:
    """Draw the colour bar of a row into its axes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(scale.lower, scale.upper), scale.colours)
    bar = figure.colorbar(colours, cax=axes)
    bar.set_label(scale.unit, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _label(axes: Axes, text: str) -> None:
    """Write to the left of a row what it shows."""
    axes.text(1.0, 0.5, text, transform=axes.transAxes, fontsize=9, ha="right", va="center")


def _place(found: CaseExplanation, phases: Sequence[str], titles: Sequence[str], method: str) -> str:
    """Say where the hottest point of a method lies, and its value if that has a unit."""
    heat = found.heat[method]
    highest = max(float(values.max()) for values in heat.values())
    if highest <= 0:
        return "hottest point:\nnone"
    shown = dict(zip(phases, titles, strict=True))
    lines = [f"hottest point{'' if method in ACTIVATION_NAMES else f' ({100 * highest:.1f})'}:"]
    place = found.localisation.get(method)
    if place is None:
        return "\n".join([*lines, wrap(shown[max(heat, key=lambda phase: heat[phase].max())], 14)])
    where = "in the lesion" if place.distance == 0 else f"{place.distance:.0f} mm from\nthe lesion"
    return "\n".join([*lines, wrap(f"{shown[phases[place.hottest_phase]]},", 14), where])


def _title(case: str, found: CaseExplanation, classes: Sequence[str]) -> str:
    """Say which case it is, what was predicted, what is true, and what is explained."""
    predicted = int(found.probabilities.argmax())
    percent = [f"{100 * float(probability):.0f}%" for probability in found.probabilities]
    truth = "not known" if found.label is None else f"'{classes[found.label]}'"
    said = f"{case}\npredicted: '{classes[predicted]}' ({percent[predicted]}), truth: {truth}"
    if found.explained != predicted:
        said += f"\nexplained: the probability of '{classes[found.explained]}' ({percent[found.explained]})"
    return said
