# SPDX-License-Identifier: Apache-2.0
"""Pictures from the scan to the class: what was outlined, what the classifier looks at, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.cases.masks import masks_of
from scripts.engines.further import Further
from scripts.figures.panels import GREY, new_figure, saved
from scripts.metrics.predictions import Predictions, read_predictions
from scripts.transforms.outlined_region import OutlinedRegiond
from scripts.volumes.original_grid import GridVolume, on_block
from scripts.volumes.volume import Slices, Volume
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
from workbench.report.outline_figure import ON_GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTLINE, SEEN = ON_GREY[0], ON_GREY[1]
MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Shot:
    """The slice of a scan in which most is outlined, in radiological view, [rows, columns] each.

    Attributes:
        aspect: height of a pixel over its width.
    """

    phase: str
    view: str
    scan: np.ndarray
    aspect: float
    outline: np.ndarray | None  # from 0 to 1; None: nothing outlined
    drawn: np.ndarray | None  # from 0 to 1; None: no expert's mask
    seen: np.ndarray  # 1 where the classifier looks
    pieces: int
    volume_ml: float  # of the outline, whole


def outlined_shot(steps: Sequence[Any], item: Mapping[str, Any]) -> Shot:
    """Prepare a case up to its grid, and return the slice to show.

    Args:
        steps: of the preprocessing.
        item: of the dataset, with the paths of its files.
    """
    found: Any = dict(item)
    for step in steps:
        found = step(found)
        if "grid_affine" in found:
            break
    phase = found["reference"]
    volume: Volume = found["volumes"][phase]
    grid = np.asarray(found["grid_affine"])
    size = next(iter(found["image"].values())).shape
    outline: GridVolume | None = found.get("outline")
    outline = outline if outline is not None and outline.values.any() else None
    seen = GridVolume(np.ones(size, dtype=np.float32), grid)
    view, letters = view_of(volume), orientation_of(volume)
    through = axes_of_view(view, letters)[2]
    block = _slice_of(volume, seen if outline is None else outline, through)

    def picture(values: np.ndarray) -> np.ndarray:
        return anatomical_slice(values, view, letters, volume.spacing.tolist(), 0)[0]

    def cut(shown: Volume | None) -> np.ndarray | None:
        return None if shown is None else picture(on_block(shown, volume, block))

    scan, aspect = anatomical_slice(volume.read(block), view, letters, volume.spacing.tolist(), 0)
    masks = masks_of(found.get("masks"))
    mask = masks.get(phase) or masks.get("roi")
    drawn = None if mask is None else GridVolume((mask.read() > 0).astype(np.float32), mask.affine)
    voxel_ml = 0.0 if outline is None else abs(np.linalg.det(outline.affine[:3, :3])) / MM3_PER_ML
    return Shot(
        phase, view, scan, aspect, cut(outline), cut(drawn), np.asarray(cut(seen)),
        int(found.get("region_pieces") or 0), 0.0 if outline is None else float(outline.values.sum()) * voxel_ml,
    )  # fmt: skip


def _slice_of(volume: Volume, shown: GridVolume, through: int) -> Slices:
    """Return the block of the slice of a volume that shows most of what is above 0."""
    points = np.argwhere(shown.values > 0) @ shown.affine[:3, :3].T + shown.affine[:3, 3]
    index = (points - volume.affine[:3, 3]) @ np.linalg.inv(volume.affine[:3, :3]).T
    last = volume.shape[through] - 1
    number = int(np.bincount(np.clip(np.round(index[:, through]), 0, last).astype(int)).argmax())
    block = [slice(0, length) for length in volume.shape]
    block[through] = slice(number, number + 1)
    return block[0], block[1], block[2]


def draw_shot(axes: Axes, shot: Shot, near: bool, width: float = 1.8) -> None:
    """Draw a scan with its outline, whole with a frame around what the classifier sees, or that alone.

    Args:
        near: what the classifier sees fills the picture.
        width: of the lines, points.
    """
    axes.set(xticks=[], yticks=[])
    draw_slice(axes, shot.scan, grey_range(shot.scan), shot.aspect)
    for picture, colour, style in ((shot.drawn, "white", "--"), (shot.outline, OUTLINE, "-")):
        if picture is not None and picture.max() > 0.5 > picture.min():
            axes.contour(picture, levels=[0.5], colors=[colour], linestyles=style, linewidths=width)
    if not near and shot.seen.min() < 0.5:
        axes.contour(shot.seen, levels=[0.5], colors=[SEEN], linewidths=width, linestyles=":")
    rows, columns = np.nonzero(shot.seen > 0.5)
    if near and rows.size:
        axes.set(xlim=(columns.min() - 0.5, columns.max() + 0.5), ylim=(rows.max() + 0.5, rows.min() - 0.5))
    write_directions(axes, shot.view)


def chosen_cases(found: Predictions) -> list[tuple[str, int]]:
    """Return which cases to show, and what they are called: surest right, least sure, surest wrong.

    Without labels: the surest, a middle, and the least sure.
    """
    sure = found.probabilities.max(axis=1)
    order = [int(row) for row in np.argsort(-sure, kind="stable")]
    predicted = found.probabilities.argmax(axis=1)
    labels = found.labels or [None] * len(order)
    right = [row for row in order if labels[row] is not None and labels[row] == predicted[row]]
    wrong = [row for row in order if labels[row] is not None and labels[row] != predicted[row]]
    chosen = {"surest and right": right[:1], "least sure": order[-1:], "surest and wrong": wrong[:1]}
    if not right and not wrong:
        chosen = {"surest": order[:1], "a middle case": [order[len(order) // 2]], "least sure": order[-1:]}
    named: dict[int, str] = {}
    for kind, rows in chosen.items():
        for row in rows:
            named.setdefault(row, kind)
    return [(kind, row) for row, kind in named.items()]


def draw_outlined(test: Further) -> dict[str, Any] | None:
    """Write ``outlined_cases.png`` where a network outlines the region, with a few of the reported cases.

    Returns:
        What was found about the regions of all reported cases, see `workbench.report.dataset.write_record`; None
        where no network outlines them.
    """
    dataset: Any = test.dataloader.dataset
    steps = dataset.transform.flatten().transforms
    if not any(isinstance(step, OutlinedRegiond) for step in steps):
        return None
    file = Path(test.output_dir) / "predictions.csv"
    if file.is_file():
        _draw_cases(read_predictions(file), steps, {str(item["case"]): item for item in dataset.data}, file.parent)
    left_out = {case: round(share, 4) for case, share in sorted(dataset.cut.left_out.items())}
    pieces, cropped = dict(sorted(dataset.cut.pieces.items())), sorted(dataset.cut.exceeding)
    return {"cases": len(dataset.data), "cropped": cropped, "left_out": left_out, "pieces": pieces}


def _draw_cases(found: Predictions, steps: Sequence[Any], items: Mapping[str, Any], place: Path) -> None:
    shown = [(kind, row) for kind, row in chosen_cases(found) if found.cases[row] in items]
    figure = new_figure(0.4 + 3.5 * len(shown), 8.6)
    grid = figure.subplots(2, len(shown), squeeze=False)
    names = figure.names([found.cases[row] for _, row in shown], "case", 28)
    classes = figure.names(found.classes, "class", 22)
    drawn = False
    for column, ((kind, row), name) in enumerate(zip(shown, names, strict=True)):
        shot = outlined_shot(steps, items[found.cases[row]])
        drawn |= shot.drawn is not None
        for line, near in enumerate((False, True)):
            if near and shot.outline is None:
                write_empty(grid[line, column], "nothing was outlined:\nthe whole volume is seen")
                grid[line, column].set(xticks=[], yticks=[])
            else:
                draw_shot(grid[line, column], shot, near)
        best = int(found.probabilities[row].argmax())
        label = None if found.labels is None else found.labels[row]
        grid[0, column].set_title(f"{kind}\n{name}, {shot.phase}", fontsize=11)
        truth = "" if label is None else f"\ntruth: {classes[label]}"
        pieces = f"{shot.volume_ml:.1f} ml, {'1 piece' if shot.pieces == 1 else f'largest of {shot.pieces} pieces'}"
        said = f"{classes[best]}, {100 * found.probabilities[row, best]:.0f}%{truth}"
        grid[1, column].set_xlabel(f"{said}\n{pieces if shot.outline is not None else ''}", fontsize=12)
    grid[0, 0].set_ylabel("the scan", fontsize=11)
    grid[1, 0].set_ylabel("what the classifier sees", fontsize=11)
    _legend(figure, drawn)
    saved(figure, place / "outlined_cases.png")


def _legend(figure: Any, drawn: bool) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=OUTLINE, lw=2, label="outlined by the network"),
        Line2D([], [], color=SEEN, lw=2, ls=":", label="edge of what the classifier sees"),
    ]
    lines += [Line2D([], [], color=GREY, lw=2, ls="--", label="drawn by an expert (white), not used")] if drawn else []
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
