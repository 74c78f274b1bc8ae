# SPDX-License-Identifier: Apache-2.0
"""Brings all phases of a case onto one grid, cropping before resampling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scripts.transforms.phases import PhaseTransform, case_name, need, phase_name
from scripts.volumes.grid import frame_axes, frame_change, oriented_affine, sample_volume
from scripts.volumes.open import ImageVolume

AXIS_OF = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
EDGE = 1e-3  # mm; a grid point this far outside the region still counts as inside


class ResamplePhasesd(PhaseTransform):
    """Resamples every phase to one grid of fixed spacing and size, centred on the region of interest.

    The grid has the axes of the reference phase, reordered and flipped to `orientation`. Its points lie on the
    lattice that starts at the reference phase's first voxel, as those of MONAI's `Orientation` and `Spacing` for
    the whole volume do, so a phase that already has this spacing is copied, not interpolated. Each phase is
    interpolated once (trilinear), from the block of voxels that the grid needs.

    Afterwards the item holds

    - ``image``: {phase: float32 [D, H, W]}, 0 where there is no data;
    - ``inside``: {phase: bool [D, H, W]}, False outside the region (or its contour) and outside the phase's
      field of view;
    - ``grid_affine``: grid index -> mm (R, A, S), float64 [4, 4];
    - ``region_exceeds_grid``: True if the region is larger than the grid and was cropped;
    - ``region_left_out``: for a region from components of a mask, the share of the mask outside it.
    - ``region_pieces``: of how many components, none of them tiny.

    D, H, W are the first, second and third axis of the grid (R, A, S by default).

    Args:
        keys: key of the opened phases.
        spacing: mm per voxel along D, H, W.
        size: voxels along D, H, W; None: as many as the region needs, so that grids differ from case to case.
        orientation: where the axes D, H, W run to.
        anti_alias: smooth before sampling where the grid is coarser than the volume; off, as in MONAI's
            `Spacing`. Pictures (`ImageVolume`) are always smoothed.

    Raises:
        ValueError: a phase does not reach the region, or is constant within it.
    """

    def __init__(
        self,
        keys: str = "image",
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        size: Sequence[int] | None = (64, 64, 64),
        orientation: str = "RAS",
        anti_alias: bool = False,
    ) -> None:
        super().__init__(keys)
        self.spacing = np.array(spacing, dtype=np.float64)
        if self.spacing.shape != (3,) or not (self.spacing > 0).all() or not np.isfinite(self.spacing).all():
            raise ValueError(f"`spacing` must be three numbers above 0 mm, found {spacing}")
        if size is not None and (len(size) != 3 or any(int(count) != count or count < 1 for count in size)):
            raise ValueError(f"`size` must be three whole numbers of voxels above 0, found {size}")
        self.size = None if size is None else (int(size[0]), int(size[1]), int(size[2]))
        if sorted(AXIS_OF.get(letter, 3) for letter in orientation) != [0, 1, 2]:
            raise ValueError(f"`orientation` must have one letter each of R/L, A/P and S/I, found {orientation!r}")
        self.orientation = orientation
        self.anti_alias = bool(anti_alias)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        volumes = need(item, "volumes", "LoadImagePhasesd", self)
        contour = item.pop("contour", None)
        region = self.fit(item)
        reference = volumes[item["reference"]]
        size = self.size or self._size_of(region)
        grid, start = self._grid(reference, region, size)
        first, second, third = (self._part(axis, start, region, size) for axis in range(3))
        parts = (first, second, third)
        corner = grid.copy()
        corner[:3, 3] = grid[:3, :3] @ [part.start for part in parts] + grid[:3, 3]
        sub_size = (parts[0].stop - parts[0].start, parts[1].stop - parts[1].start, parts[2].stop - parts[2].start)
        kept = np.ones(sub_size, dtype=bool) if contour is None else contour.covers(corner, sub_size)
        if not kept.any():
            raise ValueError(
                f"{case_name(item)}: the mask with its margin of {contour.margin:g} mm must hold a point of "
                f"the grid of {' x '.join(f'{step:g}' for step in self.spacing)} mm, found none; raise the "
                "margin of the region"
            )
        item[self.key], item["inside"] = {}, {}
        for phase, volume in volumes.items():
            part, part_inside = sample_volume(
                volume, corner, sub_size, self.anti_alias or isinstance(volume, ImageVolume)
            )
            part, part_inside = np.where(kept, part, np.float32(0)), part_inside & kept
            self._check(item, phase, volume, part[part_inside])
            values, inside = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=bool)
            values[parts], inside[parts] = part, part_inside
            item[self.key][phase], item["inside"][phase] = torch.from_numpy(values), torch.from_numpy(inside)
        item["grid_affine"] = torch.from_numpy(grid)
        return item

    def fit(self, item: dict[Any, Any]) -> np.ndarray:
        """Settle the region of a case: which components of its mask it holds, and whether the grid can hold it.

        Args:
            item: has the region; receives `region_exceeds_grid` and, for components, `region` and
                `region_left_out` and `region_pieces`.

        Returns:
            Corners along the axes of the grid in mm, [2, 3].
        """
        region = need(item, "region", "a region transform (MaskRegiond, BoxRegiond, WholeVolumeRegiond)", self)
        pieces, turn = item.pop("pieces", None), frame_change("RAS", self.orientation)
        room = np.full(3, 1e9) if self.size is None else self.spacing * self.size
        if pieces is not None:
            region, item["region_left_out"] = pieces.within(np.abs(turn).T @ room)
            item["region_pieces"] = len(pieces.boxes)
            item["region"] = region
        region = np.sort(region @ turn.T, axis=0)
        item["region_exceeds_grid"] = bool((region[1] - region[0] > room + EDGE).any())
        return region

    def _size_of(self, region: np.ndarray) -> tuple[int, int, int]:
        """Return how many voxels along D, H, W hold a region."""
        counts = np.maximum(np.ceil((region[1] - region[0]) / self.spacing - EDGE), 1).astype(int)
        return int(counts[0]), int(counts[1]), int(counts[2])

    def _grid(self, reference: Any, region: np.ndarray, size: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the affine of the grid, and its first point in the frame."""
        axes = frame_axes(reference.affine, reference.shape, self.orientation)
        origin = axes.T @ oriented_affine(reference.affine, reference.shape, self.orientation)[:3, 3]
        centred = region.mean(axis=0) - (np.array(size) - 1) / 2 * self.spacing
        start = origin + np.round((centred - origin) / self.spacing) * self.spacing
        grid = np.eye(4)
        grid[:3, :3], grid[:3, 3] = axes * self.spacing, axes @ start
        return grid, start

    def _part(self, axis: int, start: np.ndarray, region: np.ndarray, size: tuple[int, int, int]) -> slice:
        """Return the grid points within the region along one axis, at least the one nearest to its centre."""
        low, high = (region[:, axis] - start[axis]) / self.spacing[axis]
        edge = EDGE / self.spacing[axis]
        middle = int(np.clip(round((low + high) / 2), 0, size[axis] - 1))
        first = min(max(int(np.ceil(low - edge)), 0), middle)
        return slice(first, max(min(int(np.floor(high + edge)) + 1, size[axis]), middle + 1))

    def _check(self, item: Mapping[Any, Any], phase: str, volume: Any, values: np.ndarray) -> None:
        """Refuse a phase that shows nothing in the region."""
        name = phase_name(item, phase)  # type: ignore[arg-type]
        if not len(values):
            raise ValueError(
                f"{name} must reach the region of interest, found it outside in {volume.path}; check the "
                "mask or box against the headers, or take the phase out of the case"
            )
        if values.min() == values.max():
            raise ValueError(
                f"{name} must have voxels that differ within the region, found {values[0].item():g} "
                f"everywhere in {volume.path}; check the region, or take the phase out of the case"
            )
