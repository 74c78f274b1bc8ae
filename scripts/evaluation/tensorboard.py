"""Figures in TensorBoard, beside those on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "tensorboard"
"""Folder of the events, in a results folder."""


@contextmanager
def no_host() -> Iterator[None]:
    """Leave the name of the machine out of the names of event files that are opened inside."""
    from tensorboard.summary.writer import event_file_writer

    with patch.object(event_file_writer, "socket", SimpleNamespace(gethostname=lambda: "host")):
        yield


def show_figures(output_dir: Path, name: str, figures: Mapping[str, Figure]) -> None:
    """Write an event file with figures into `output_dir`/tensorboard, each by the tag `name`/<its name>."""
    from torch.utils.tensorboard import SummaryWriter

    with no_host(), SummaryWriter(str(output_dir / FOLDER)) as writer:
        for tag, figure in figures.items():
            writer.add_figure(f"{name}/{tag}", figure, close=False)
