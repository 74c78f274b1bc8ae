# SPDX-License-Identifier: Apache-2.0
"""Slices in radiological view, and one slice of a phase of the original file with heat and lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scripts.figures.panels import GREY
from scripts.volumes.original_grid import GridVolume, block_around, on_block
from scripts.volumes.volume import Volume
from workbench.explain.case_explanation import CaseExplanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scripts.figures.named_figure import NamedFigure

AXES_OF_VIEW = {"axial": ("R", "A", "S"), "coronal": ("R", "S", "A"), "sagittal": ("A", "S", "R")}
"""Per view the anatomical axes across, up, and through the slices."""

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def axes_of_view(view: str, orientation: str) -> tuple[int, int, int]:
    """Return which of a volume's axes run across a picture, up it, and through the slices.

    >>> axes_of_view("coronal", "LPS")
    (0, 2, 1)
    """
    axis_of = {name: i for i, letter in enumerate(orientation) for name in (letter, OPPOSITE[letter])}
    across, up, through = (axis_of[name] for name in AXES_OF_VIEW[view])
    return across, up, through


def anatomical_slice(
    volume: np.ndarray, view: str, orientation: str, spacing: Sequence[float], index: int | None = None
) -> tuple[np.ndarray, float]:
    """Return a slice [rows, columns] in radiological view, and the height of its pixels over their width.

    Anterior (or superior) is up; the patient's right, or anterior in a sagittal slice, is on the left.

    Args:
        view: axial, coronal or sagittal.
        orientation: directions of the volume's axes, e.g. RAS.
        index: of the slice; None: the middle one.

    >>> anatomical_slice(np.arange(4).reshape(2, 2, 1), "axial", "RAS", (1.0, 2.0, 1.0))
    (array([[3, 1],
           [2, 0]]), 2.0)
    """
    across, up, through = axes_of_view(view, orientation)
    number = volume.shape[through] // 2 if index is None else index
    plane = np.moveaxis(volume, (up, across, through), (0, 1, 2))[:, :, number]
    # The picture's first row is the upper end (A or S), its first column the patient's right (or anterior).
    if orientation[up] in "AS":
        plane = plane[::-1]
    if orientation[across] in "RA":
        plane = plane[:, ::-1]
    return plane, spacing[up] / spacing[across]


def write_directions(axes: Axes, view: str) -> None:
    """Write which side of the patient is left, right and up in a slice."""
    from matplotlib.patheffects import withStroke

    across, up, _ = AXES_OF_VIEW[view]
    style: dict[str, Any] = {"transform": axes.transAxes, "color": "#FFD54A", "fontsize": 9}
    style |= {"fontweight": "bold", "path_effects": [withStroke(linewidth=2, foreground="black")]}
    axes.text(0.03, 0.5, across, ha="left", va="center", **style)
    axes.text(0.97, 0.5, OPPOSITE[across], ha="right", va="center", **style)
    axes.text(0.5, 0.97, up, ha="center", va="top", **style)


def grey_range(shown: np.ndarray) -> tuple[float, float]:
    """Return the values shown as black and white: percentiles 1 and 99 of the present phases without padding."""
    values = shown[np.isfinite(shown) & (shown != 0)]
    if values.size == 0:
        return 0.0, 1.0
    lower, upper = (float(value) for value in np.percentile(values, (1, 99)))
    lower, upper = min(lower, 0.0) if lower > 0 else lower, max(upper, lower + 1e-6)
    return lower, upper


def picture_grid(figure: NamedFigure, rows: int, blocks: int, columns: int, pad: float) -> np.ndarray:
    """Return closely packed framed axes [rows * blocks, columns]: down one block, then down the next."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=pad, h_pad=0.04, wspace=0.01, hspace=0.01))
    parts = figure.subfigures(1, blocks, squeeze=False)[0] if blocks > 1 else [figure]
    grid = np.concatenate([part.subplots(rows, columns, squeeze=False) for part in parts])
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#BBBBBB")
    return grid


def draw_slice(axes: Axes, picture: np.ndarray, grey: tuple[float, float], aspect: float) -> None:
    """Draw a slice between black and white."""
    lower, upper = grey
    axes.imshow(picture, cmap="gray", vmin=lower, vmax=upper, aspect=aspect, interpolation="nearest")


def draw_empty(axes: Axes, text: str, shape: tuple[int, ...], aspect: float) -> None:
    """Fill the place of a missing picture [rows, columns], and say why it is missing."""
    axes.set(xlim=(0, shape[1]), ylim=(0, shape[0]), aspect=aspect)
    write_empty(axes, text)


def write_empty(axes: Axes, text: str) -> None:
    """Write on grey why there is no picture."""
    axes.set_facecolor("#F2F2F2")
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY, "fontsize": 9, "style": "italic"}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **style)


MARGIN = 12.0  # mm of the scan shown around what the network sees
THICK = 1.5  # slices are stacked along an axis whose voxels are this many times longer than along the others


@dataclass(frozen=True)
class PhaseSlice:
    """Pictures [rows, columns] in radiological view."""

    scan: np.ndarray  # of the original file
    heat: dict[str, np.ndarray]  # {method: heat}
    lesion: np.ndarray | None  # 1 in the lesion; None without a mask
    aspect: float  # height of a pixel over its width

    @property
    def height(self) -> float:
        """Height of the picture over its width."""
        return self.scan.shape[0] * self.aspect / self.scan.shape[1]


def view_of(volume: Volume) -> str:
    """Return the plane of acquisition, across the longest side of the voxels; axial if no side stands out."""
    spacing, letters = volume.spacing, orientation_of(volume)
    longest = int(spacing.argmax())
    if spacing[longest] < THICK * np.delete(spacing, longest).max():
        return "axial"
    return next(view for view in AXES_OF_VIEW if axes_of_view(view, letters)[2] == longest)


def orientation_of(volume: Volume) -> str:
    """Return the nearest anatomical directions of a volume's axes, e.g. LPS."""
    from nibabel.orientations import aff2axcodes

    return "".join(aff2axcodes(volume.affine))


def shown_position(found: CaseExplanation) -> np.ndarray:
    """Return the point that all slices pass through, in mm (R, A, S).

    The centre of the lesion mask; without one, the hottest voxel of the last method.
    """
    if found.lesion is not None:
        voxel, affine = np.argwhere(found.lesion.values > 0).mean(axis=0), found.lesion.affine
    else:
        maps = list(list(found.heat.values())[-1].values())
        hottest = max(maps, key=np.max)
        voxel, affine = np.array(np.unravel_index(hottest.argmax(), hottest.shape)), found.grid_affine
    return affine[:3, :3] @ voxel + affine[:3, 3]


def phase_slice(found: CaseExplanation, phase: str, position: np.ndarray, view: str) -> PhaseSlice:
    """Return the slice of a phase nearest to a position, cropped to what the network sees and a margin.

    Args:
        found: the explanation of a case with heat.
        position: mm (R, A, S).
        view: axial, coronal or sagittal.
    """
    volume: Volume = found.volumes[phase]
    maps = {method: GridVolume(heat[phase], found.grid_affine) for method, heat in found.heat.items()}
    block = list(block_around(next(iter(maps.values())), volume, MARGIN))
    letters = orientation_of(volume)
    through = axes_of_view(view, letters)[2]
    voxel = np.linalg.solve(volume.affine, [*position, 1.0])[through]
    number = int(np.clip(round(voxel), 0, volume.shape[through] - 1))
    block[through] = slice(number, number + 1)
    part = (block[0], block[1], block[2])

    def picture(values: np.ndarray) -> np.ndarray:
        return anatomical_slice(values, view, letters, volume.spacing.tolist(), 0)[0]

    scan, aspect = anatomical_slice(volume.read(part), view, letters, volume.spacing.tolist(), 0)
    heat = {method: picture(on_block(grid, volume, part)) for method, grid in maps.items()}
    lesion = None if found.lesion is None else picture(on_block(found.lesion, volume, part))
    return PhaseSlice(scan, heat, lesion, aspect)
