"""The handler that shows the wrong predictions that the model was surest of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from scripts.evaluation.case_handler import Case, CaseHandler, Prediction
from scripts.evaluation.plots import errors_figure
from scripts.evaluation.plots.errors import WrongCase
from scripts.evaluation.plots.slices import anatomical_slice, grey_range
from scripts.evaluation.tensorboard import show_figures


class ErrorReport(CaseHandler):
    """Shows up to 6 wrongly predicted cases, those with the highest probability of the wrong class.

    When an evaluation ends it writes ``worst_errors.png`` into `output_dir`, with the slice through the
    middle of the grid, which is the middle of the region, in each phase, and shows it in TensorBoard. Where
    no prediction is wrong the figure says so; where no class is known there is none. It shows patients: do
    not pass it on.

    It reads `image` [P, D, H, W] and `present` [P] from the evaluator's batch, and keeps the slices of the
    cases that may still be shown, no volume.

    Args:
        output_dir: folder of the results, made if missing.
        phases: P names.
        classes: K class names.
        spacing: mm per voxel along the three grid axes.
        orientation: where the three grid axes point, e.g. RAS.
        name: what is evaluated, e.g. "test"; heads the figure.
        view: axial, coronal or sagittal.
        most: cases shown at most.

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
        """Note the wrong cases of a batch, and drop those that are no longer among the worst."""
        for item, p in zip(batch, predictions, strict=True):
            if p.label is not None and p.predicted != p.label:
                self.notes[p.case] = self._picture(item, p)
        self.notes = {case.case: case for case in self._worst()}

    def _worst(self) -> list[WrongCase]:
        """Return the cases to be shown, the surest first, of equal ones by name."""
        return sorted(self.notes.values(), key=lambda case: (-case.probability, case.case))[: self.most]

    def _picture(self, item: Case, p: Prediction) -> WrongCase:
        """Cut the slices of one case."""
        from scripts.networks.presence import by_channel

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
        """Draw the worst of all."""
        known = [p for p in self.predictions if p.label is not None]
        if not known:
            return
        figure = errors_figure(
            self._worst(),
            self.phases,
            errors=sum(p.predicted != p.label for p in known),
            cases=len(known),
            name=self.name,
            view=self.view,
            path=self.output_dir / "worst_errors.png",
            classes=self.classes,
        )
        show_figures(self.output_dir, self.name, {"worst_errors": figure})
