# SPDX-License-Identifier: Apache-2.0
"""Further figures of a test, and report.html: made by the workbench, if the running bundle has one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.inferers import Inferer
from scripts import from_workbench
from scripts.engines.running import bundle_command
from scripts.files.processes import is_first_process
from torch import nn
from torch.utils.data import DataLoader

logger = logging.getLogger(__name__)


@dataclass
class Further:
    """Results of a test that `workbench.report` adds to metrics, predictions, ROC and confusion matrix.

    As a handler after `EvaluationReport` it maps the fused features of the cases, and shows the weights of the
    phases, the attention between them, and the wrong predictions with the highest confidence. After the test,
    `run` withholds phases and writes report.html. Without a workbench, a line in the log says how to make them.

    Attributes:
        missing_phases: withhold phases, too; up to 2^P - 1 passes over the cases for P phases.
        network: network that is tested.
        dataloader: cases of the split, as in the test; likewise `prepare_batch`, `inferer` and `device`.
        phases: names of the phases; `channels` are those of the volumes, `views` the planes in which they are read.
        classes: K class names.
        spacing: mm per voxel of the grid, along the axes of `orientation`.
        output_dir: folder of the results.
        dataset_dir: folder of the dataset.
        model_file: weights, or those of each member of an ensemble.
        split: split that is tested.
        seed: seed of the draws.
        robustness: evaluate images with faults as well; one pass over the cases for each strength of each fault.
    """

    missing_phases: bool
    network: nn.Module
    dataloader: DataLoader
    prepare_batch: Callable[..., tuple]
    inferer: Inferer
    device: torch.device | str
    phases: Sequence[str]
    channels: Sequence[str]
    views: Sequence[str]
    classes: Sequence[str]
    spacing: Sequence[float]
    orientation: str
    output_dir: str
    dataset_dir: str
    model_file: str | Sequence[str]
    split: str
    seed: int
    robustness: bool = False

    def attach(self, engine: Engine) -> None:
        """Attach the reports that follow the test on `engine`."""
        if workbench := from_workbench("report.report"):
            workbench.follow(self, engine)

    def run(self) -> None:
        """Withhold phases and write report.html, or log how to do so."""
        if workbench := from_workbench("report.report"):
            workbench.make(self)
        else:
            _say_where(self.output_dir)


@dataclass
class OutlineFigures:
    """Pictures of outlines over the scans, and report.html: as `Further`, for what outlines.

    Attributes:
        data, phases, structures, masks, reference: as of `OutlineReport`.
        output_dir, dataset_dir, model_file, split, device: as of `Further`.
        robustness: false; faults of images are tried on networks that classify.

    Raises:
        ValueError: robustness is true.
    """

    data: Sequence[Mapping[str, Any]]
    phases: Sequence[str]
    structures: Sequence[str]
    masks: str
    reference: str
    output_dir: str
    dataset_dir: str
    model_file: str | Sequence[str]
    split: str
    device: torch.device | str
    robustness: bool = False

    def __post_init__(self) -> None:
        if self.robustness:
            raise ValueError("--robustness true needs a network that classifies, found one that outlines; leave it out")

    def run(self) -> None:
        """Draw the pictures and write report.html, or log how to do so."""
        if workbench := from_workbench("report.report"):
            workbench.make_outlines(self)
        else:
            _say_where(self.output_dir)


def _say_where(output_dir: str) -> None:
    """Log where further figures can be made."""
    if not is_first_process():
        return
    folder = Path(output_dir).resolve()
    files = [str(folder / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    logger.info(
        "further figures and report.html are made where the folder workbench is, in the repository of this bundle; "
        "there: %s",
        bundle_command("evaluating", files, folder),
    )
