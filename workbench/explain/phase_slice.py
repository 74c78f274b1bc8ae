# SPDX-License-Identifier: Apache-2.0
"""One slice of one phase as it lies in the original file, with the heat and the lesion in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scripts.volumes.volume import Volume
from workbench.explain.case_explanation import CaseExplanation
from workbench.explain.original_grid import GridVolume, block_around, on_block
from workbench.explain.slices import AXES_OF_VIEW, anatomical_slice, axes_of_view

MARGIN = 12.0  # mm of the scan shown around what the network sees
THICK = 1.5  # an axis whose voxels are this much longer than the others is the one that slices are stacked along


@dataclass(frozen=True)
class PhaseSlice:
    """Pictures [rows, columns] as they are looked at."""

    scan: np.ndarray  # of the original file
    heat: dict[str, np.ndarray]  # {method: heat}
    lesion: np.ndarray | None  # 1 in the lesion; None without a mask
    aspect: float  # height of a pixel over its width

    @property
    def height(self) -> float:
        """Height of the picture over its width."""
        return self.scan.shape[0] * self.aspect / self.scan.shape[1]


def view_of(volume: Volume) -> str:
    """Return the plane of acquisition: across the longest side of the voxels; axial where none is longer."""
    spacing, letters = volume.spacing, orientation_of(volume)
    longest = int(spacing.argmax())
    if spacing[longest] < THICK * np.delete(spacing, longest).max():
        return "axial"
    return next(view for view in AXES_OF_VIEW if axes_of_view(view, letters)[2] == longest)


def orientation_of(volume: Volume) -> str:
    """Return where the axes of a volume run to, as nearly as three letters can say, e.g. LPS."""
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
    """Return the slice of a phase that is nearest to a position, as far as the network sees and a bit more.

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
