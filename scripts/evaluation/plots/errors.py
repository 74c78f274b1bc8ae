"""The wrong predictions that the model was surest of, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scripts.evaluation.plots.slices import draw_empty, write_directions
from scripts.evaluation.plots.style import GREY, LONGEST_TITLE, new_figure, save_figure, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scripts.evaluation.plots.named_figure import NamedFigure


@dataclass(frozen=True)
class WrongCase:
    """One case that was predicted wrong.

    Attributes:
        case: its name.
        true: name of its class.
        predicted: name of the class that it was taken for.
        probability: of that class.
        pictures: per phase a slice [rows, columns] as it is looked at; None: the phase is missing.
        aspect: height of a pixel over its width.
        grey: values that are black and white, the same for all phases.
    """

    case: str
    true: str
    predicted: str
    probability: float
    pictures: Sequence[np.ndarray | None]
    aspect: float
    grey: tuple[float, float]


def errors_figure(
    wrong: Sequence[WrongCase],
    phases: Sequence[str],
    errors: int,
    cases: int,
    name: str = "",
    view: str = "axial",
    path: str | Path | None = None,
    classes: Sequence[str] = (),
) -> Figure:
    """Draw one row of slices per case; without any error, a figure that says so.

    Args:
        wrong: the cases shown, the worst first.
        phases: P names.
        errors: number of cases that were predicted wrong, shown or not.
        cases: number of cases whose class is known.
        name: what was evaluated, for the title.
        view: in which the slices lie.
        path: where to save the figure, too.
        classes: K class names, by whose numbers those are called that no font draws.

    Raises:
        ValueError: a folder that cannot be written.
    """
    heading = f"Worst errors{f', {name}' if name else ''}"
    if not wrong:
        figure = new_figure(6.4, 1.6)
        figure.text(
            0.5, 0.5, f"{heading}: none of {cases} cases was predicted wrong", ha="center", color=GREY
        )
    else:
        figure = _draw(wrong, phases, view, classes)
        count = (
            f"{len(wrong)} of {errors} wrong predictions" if len(wrong) < errors else f"all {errors} wrong"
        )
        figure.suptitle(f"{heading}: {count} among {cases} cases, the surest first", fontsize=11)
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw(
    wrong: Sequence[WrongCase], phases: Sequence[str], view: str, classes: Sequence[str]
) -> NamedFigure:
    """Draw the slices, and beside each row what the case is and what was said."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shape, aspect = next((p.shape, w.aspect) for w in wrong for p in w.pictures if p is not None)
    height = 1.75 * min(2.0, max(0.5, shape[0] * aspect / shape[1]))
    figure = new_figure(max(6.6, 2.2 + 1.8 * len(phases)), 0.8 + (height + 0.06) * len(wrong))
    every = list(dict.fromkeys([*classes, *(name for case in wrong for name in (case.true, case.predicted))]))
    shown = dict(zip(every, figure.names(every, "class", 20), strict=True))
    cases = figure.names([case.case for case in wrong], "case", 20)
    titles = figure.names(phases, "phase", LONGEST_TITLE)
    grid = figure.subplots(len(wrong), len(phases), squeeze=False)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01))
    for row, case, name in zip(grid, wrong, cases, strict=True):
        for axes, phase, picture in zip(row, titles, case.pictures, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#BBBBBB")
            if picture is None:
                draw_empty(axes, f"{wrap(phase, 14)}\nmissing", shape, aspect)
                continue
            lower, upper = case.grey
            axes.imshow(picture, cmap="gray", vmin=lower, vmax=upper, aspect=aspect, interpolation="nearest")
            if case is wrong[0]:
                write_directions(axes, view)
        said = f"{shown[case.predicted]}, {100 * case.probability:.0f}%"
        text = f"{name}\ntruth: {shown[case.true]}\npredicted: {said}"
        row[0].set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
    for axes, phase in zip(grid[0], titles, strict=True):
        axes.set_title(wrap(phase, 14), fontsize=10)
    return figure
