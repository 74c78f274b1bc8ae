"""Figures in TensorBoard, beside those on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "tensorboard"
"""Folder of the events, in a results folder."""


def show_figures(output_dir: Path, name: str, figures: Mapping[str, Figure]) -> None:
    """Write an event file with figures into `output_dir`/tensorboard, each by the tag `name`/<its name>."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(output_dir / FOLDER)) as writer:
        for tag, figure in figures.items():
            writer.add_figure(f"{name}/{tag}", figure, close=False)
