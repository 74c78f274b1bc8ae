# SPDX-License-Identifier: Apache-2.0
"""Pictures of the wrong predictions with the highest confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from scripts.engines.case_handler import Case, CaseHandler, Prediction
from scripts.engines.evaluation import show_figures
from scripts.figures.panels import GREY, LONGEST_TITLE, new_figure, saved
from scripts.figures.text import wrap
from scripts.networks.parts import by_channel
from workbench.explain.phase_slice import (
    anatomical_slice,
    draw_empty,
    draw_slice,
    grey_range,
    picture_grid,
    write_directions,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class WrongCase:
    """A case that was misclassified.

    Attributes:
        pictures: per phase a slice [rows, columns] as it is displayed; None: the phase is missing.
    """

    case: str
    true: str
    predicted: str  # name of the predicted class
    probability: float  # of that class
    pictures: Sequence[np.ndarray | None]
    aspect: float  # height of a pixel over its width
    grey: tuple[float, float]  # values that are black and white, the same for all phases


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
        wrong: the cases to show, the worst first.
        errors: number of misclassified cases, shown or not.
        cases: number of cases whose class is known.
        view: axial, coronal or sagittal.
        classes: K class names, which number the classes whose names no font can draw.

    Raises:
        ValueError: a folder that cannot be written.
    """
    heading = f"Worst errors{f', {name}' if name else ''}"
    if not wrong:
        figure = new_figure(6.4, 1.6)
        text = f"{heading}: none of {cases} cases was predicted wrong"
        figure.text(0.5, 0.5, text, ha="center", color=GREY)
        return saved(figure, path)
    shape, aspect = next((p.shape, w.aspect) for w in wrong for p in w.pictures if p is not None)
    height = 1.75 * min(2.0, max(0.5, shape[0] * aspect / shape[1]))
    figure = new_figure(max(6.6, 2.2 + 1.8 * len(phases)), 0.8 + (height + 0.06) * len(wrong))
    every = list(dict.fromkeys([*classes, *(name for case in wrong for name in (case.true, case.predicted))]))
    shown = dict(zip(every, figure.names(every, "class", 20), strict=True))
    names = figure.names([case.case for case in wrong], "case", 20)
    titles = [wrap(phase, 14) for phase in figure.names(phases, "phase", LONGEST_TITLE)]
    grid = picture_grid(figure, len(wrong), 1, len(phases), 0.04)
    for row, case, case_name in zip(grid, wrong, names, strict=True):
        for axes, title, picture in zip(row, titles, case.pictures, strict=True):
            if case is wrong[0]:
                axes.set_title(title, fontsize=10)
            if picture is None:
                draw_empty(axes, f"{title}\nmissing", shape, aspect)
                continue
            draw_slice(axes, picture, case.grey, aspect)
            if case is wrong[0]:
                write_directions(axes, view)
        said = f"{shown[case.predicted]}, {100 * case.probability:.0f}%"
        text = f"{case_name}\ntruth: {shown[case.true]}\npredicted: {said}"
        row[0].set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
    count = f"{len(wrong)} of {errors} wrong predictions" if len(wrong) < errors else f"all {errors} wrong"
    figure.suptitle(f"{heading}: {count} among {cases} cases, the surest first", fontsize=11)
    return saved(figure, path)


class ErrorReport(CaseHandler):
    """Shows up to 6 misclassified cases, those with the highest probability of the wrong class.

    When an evaluation ends it writes ``worst_errors.png`` into `output_dir`, with the middle slice of the grid
    (the centre of the region) in each phase, and shows it in TensorBoard. If no prediction is wrong the figure
    says so; if no class is known there is none. It shows images of patients: do not pass it on.

    It reads `image` [P, D, H, W] and `present` [P] from the evaluator's batch, and keeps only the slices of the
    cases that may still be shown, no volumes.

    Args:
        spacing: mm per voxel along the three grid axes.
        orientation: directions of the three grid axes, e.g. RAS.
        view: axial, coronal or sagittal.
        most: maximum number of cases shown.

    Raises:
        ValueError: as for `CaseHandler`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        phases: Sequence[str],
        classes: Sequence[str],
        spacing: Sequence[float],
        orientation: str = "RAS",
        name: str = "test",
        view: str = "axial",
        most: int = 6,
    ) -> None:
        super().__init__(output_dir, classes, name)
        self.phases = list(phases)
        self.spacing = list(spacing)
        self.orientation = orientation
        self.view = view
        self.most = most

    def note(self, batch: Sequence[Case], predictions: Sequence[Prediction]) -> None:
        """Note the misclassified cases of a batch, and drop those that are no longer among the worst."""
        for item, p in zip(batch, predictions, strict=True):
            if p.label is not None and p.predicted != p.label:
                self.notes[p.case] = self._picture(item, p)
        self.notes = {case.case: case for case in self._worst()}

    def _worst(self) -> list[WrongCase]:
        """Return the cases to show by falling probability, ties by name."""
        return sorted(self.notes.values(), key=lambda case: (-case.probability, case.case))[: self.most]

    def _picture(self, item: Case, p: Prediction) -> WrongCase:
        """Return one case with its slices."""
        volume = torch.as_tensor(item["image"]).detach().cpu().float().numpy()
        present = torch.as_tensor(item["present"])[None]
        there = by_channel(present, len(volume))[0].cpu().numpy().astype(bool)
        slices = [anatomical_slice(phase, self.view, self.orientation, self.spacing) for phase in volume]
        return WrongCase(
            case=p.case,
            true=self.classes[int(p.label or 0)],
            predicted=self.classes[p.predicted],
            probability=float(p.probabilities[p.predicted]),
            pictures=[np.array(cut) if here else None for (cut, _), here in zip(slices, there, strict=True)],
            aspect=slices[0][1],
            grey=grey_range(volume[there]),
        )

    def write(self, device: str) -> None:
        """Draw the figure of the worst errors."""
        known = [p for p in self.predictions if p.label is not None]
        if not known:
            return
        errors, path = sum(p.predicted != p.label for p in known), self.output_dir / "worst_errors.png"
        counts = (errors, len(known), self.name, self.view, path, self.classes)
        figure = errors_figure(self._worst(), self.phases, *counts)
        show_figures(self.output_dir, self.name, {"worst_errors": figure})
