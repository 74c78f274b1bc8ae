# SPDX-License-Identifier: Apache-2.0
"""The region of interest derived from a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scripts.files.plain_text import listing
from scripts.transforms.phases import case_name
from scripts.transforms.region import Region, given_box
from scripts.volumes.grid import frame_axes
from scripts.volumes.mask import pieces_of, voxel_box
from scripts.volumes.volume import Volume

COMPONENTS = ("all", "largest")


class MaskRegiond(Region):
    """The region is the box around the mask ``item["roi"]``, which may have its own grid.

    A case without a mask may give its region as numbers instead: ``item["box"]`` or ``item["point"]``, as in
    `BoxRegiond`.

    A mask may have several connected components, e.g. two lesions. With ``component: all`` the region is the
    box around all of them; if that is larger than the grid, the grid shows its centre. With
    ``component: largest`` it is the box around the largest component, extended by the next largest ones as long
    as the whole fits into the grid; one of less than a tenth of the largest volume never moves it. Voxels that
    touch by a face, an edge or a corner belong to one component.

    Args:
        keys: key of the phases.
        margin: mm added on every side.
        labels: mask values that count; None counts every value above 0.
        component: ``all`` or ``largest``.

    Raises:
        ValueError: neither mask, box nor point, no voxel of the mask that counts, or an unknown component.
    """

    def __init__(
        self, keys: str = "image", margin: float = 0.0, labels: Sequence[int] | None = None, component: str = "all"
    ) -> None:
        super().__init__(keys, margin)
        if component not in COMPONENTS:
            raise ValueError(
                f"{type(self).__name__}: `component` must be one of "
                f"{listing(str(component), COMPONENTS)}, found {component!r}"
            )
        self.labels = None if labels is None else list(labels)
        self.component = component

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        mask = item.get("roi")
        if mask is None:
            given = given_box(item, axes)
            if given is None:
                raise ValueError(
                    f"{case_name(item)}: a region from a mask needs 'roi', found none, nor a 'box' or "
                    "'point' in mm; add the mask (in a folder of files as lesion.nii.gz, for instance)"
                )
            return given
        inside = self.counted(mask.read())
        if not inside.any():
            wanted = "voxels above 0" if self.labels is None else f"voxels valued {self.labels}"
            raise ValueError(
                f"{case_name(item)}: the mask must have {wanted}, found none in {mask.path}; correct the "
                "mask or remove the case"
            )
        if self.component == "all":
            return voxel_box(inside, mask.affine, axes)
        item["pieces"] = pieces_of(inside, mask.affine, axes, self.margin)
        return item["pieces"].boxes[0]

    def counted(self, voxels: np.ndarray) -> np.ndarray:
        """Return which voxels of a mask count."""
        return voxels > 0 if self.labels is None else np.isin(voxels, self.labels)


EDGE = 1e-3  # mm; a grid point this far beyond the margin still counts as inside
MEASURES = ("mask", "grid")
CHUNK = 4096
"""Number of points whose nearby voxels are compared at a time, which bounds memory."""


@dataclass(frozen=True)
class Contour:
    """A mask and the margin that is kept around it.

    Attributes:
        voxels: bool [X, Y, Z].
        affine: index -> mm, [4, 4].
        margin: mm.
        measured_from: ``mask``, from its voxels as boxes; or ``grid``, from the grid points inside the mask.
    """

    voxels: np.ndarray
    affine: np.ndarray
    margin: float
    measured_from: str = "mask"

    def covers(self, grid: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
        """Return which points of a grid lie inside the mask or at most `margin` from it.

        Args:
            grid: grid index -> mm, [4, 4].
            size: number of points along D, H, W.

        Returns:
            bool [D, H, W].
        """
        from scipy.ndimage import affine_transform, distance_transform_edt

        change = np.linalg.inv(self.affine) @ grid
        within = affine_transform(self.voxels.astype(np.uint8), change, output_shape=size, order=0) > 0
        if self.margin == 0 or not self.voxels.any():
            return within
        if self.measured_from == "grid":
            if not within.any():
                return within
            spacing = np.linalg.norm(grid[:3, :3], axis=0)
            return distance_transform_edt(~within, sampling=spacing) <= self.margin
        outside = np.argwhere(~within)
        within[tuple(outside.T)] = self._near(outside @ grid[:3, :3].T + grid[:3, 3])
        return within

    def _near(self, points: np.ndarray) -> np.ndarray:
        r"""Return which points outside the mask lie at most `margin` from one of its voxels.

        A voxel is a box with centre c and half sides h, so its distance from a point p is
        :math:`\sqrt{\sum_i \max(|p_i - c_i| - h_i, 0)^2}`. A point whose nearest centre is within margin + min h
        is near; one whose nearest centre is beyond margin + |h| is not; in between, all voxels within reach are
        compared.

        Args:
            points: mm, [N, 3].
        """
        from scipy.spatial import cKDTree

        axes = frame_axes(self.affine, self.voxels.shape)
        centres, half = self._bodies(axes)
        points = points @ axes
        low, high = centres.min(axis=0) - half - self.margin, centres.max(axis=0) + half + self.margin
        candidates = np.flatnonzero(((points >= low - EDGE) & (points <= high + EDGE)).all(axis=1))
        if not len(candidates):
            return np.zeros(len(points), dtype=bool)
        reach = self.margin + float(np.linalg.norm(half)) + EDGE
        first, last = points[candidates].min(axis=0) - reach, points[candidates].max(axis=0) + reach
        centres = centres[((centres >= first) & (centres <= last)).all(axis=1)]
        tree = cKDTree(centres)
        nearest, _ = tree.query(points[candidates], distance_upper_bound=reach)
        near = np.zeros(len(points), dtype=bool)
        near[candidates[nearest <= self.margin + half.min()]] = True
        open_ones = candidates[(nearest > self.margin + half.min()) & np.isfinite(nearest)]
        for start in range(0, len(open_ones), CHUNK):
            chunk = open_ones[start : start + CHUNK]
            found = tree.query_ball_point(points[chunk], reach, return_sorted=False)
            counts = np.array([len(one) for one in found])
            owner = np.repeat(np.arange(len(chunk)), counts)
            apart = np.abs(points[chunk][owner] - centres[np.concatenate(found).astype(int)]) - half
            close = np.linalg.norm(np.maximum(apart, 0), axis=1) <= self.margin + EDGE
            near[chunk[np.unique(owner[close])]] = True
        return near

    def _bodies(self, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the centres [N, 3] and half sides [3], in mm, of boxes that make up the surface of the mask.

        Anisotropic voxels are subdivided into boxes with nearly equal sides.

        Args:
            axes: frame of the mask, [3, 3].
        """
        from scipy.ndimage import binary_erosion, find_objects

        (part,) = find_objects(self.voxels.astype(np.uint8))  # the bounding block of the mask
        block = self.voxels[part]
        voxels = np.argwhere(block & ~binary_erosion(block)) + [side.start for side in part]
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        parts = np.round(spacing / spacing.min()).astype(int)
        offsets = [(np.arange(count) + 0.5) / count - 0.5 for count in parts]
        inner = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1).reshape(-1, 3)
        index = (voxels[:, None] + inner).reshape(-1, 3)
        turned = axes.T @ self.affine[:3, :3]
        return index @ turned.T + axes.T @ self.affine[:3, 3], np.abs(turned / parts).sum(axis=1) / 2


class ContourRegiond(MaskRegiond):
    """Like `MaskRegiond`, but everything farther than the margin from the mask itself is 0 in all phases.

    For organs or lesions with a known outline whose surroundings would distract. One mask serves all phases, so
    choose a margin that covers motion between them.

    Args:
        keys: key of the phases.
        margin: mm kept around the mask.
        labels: mask values that count; None counts every value above 0.
        component: ``all`` or ``largest``, as in `MaskRegiond`.
        measured_from: ``mask`` measures the margin from the mask's voxels as boxes; ``grid`` from the grid points
            inside the mask, as up to version 0.1.0, which blanks up to a voxel more.

    Raises:
        ValueError: no mask, no voxel of it that counts, or an unknown `measured_from`.
    """

    def __init__(
        self,
        keys: str = "image",
        margin: float = 0.0,
        labels: Sequence[int] | None = None,
        component: str = "all",
        measured_from: str = "mask",
    ) -> None:
        super().__init__(keys, margin, labels, component)
        if measured_from not in MEASURES:
            raise ValueError(
                "ContourRegiond: `measured_from` must be one of "
                f"{listing(str(measured_from), MEASURES)}, found {measured_from!r}"
            )
        self.measured_from = measured_from

    def box(self, item: dict[Any, Any], reference: Volume, axes: np.ndarray) -> np.ndarray:
        if item.get("roi") is None:
            raise ValueError(
                f"{case_name(item)}: a region with the contour of a mask needs 'roi', found none; add the "
                "mask, or use MaskRegiond, which takes a box or a point as well"
            )
        return super().box(item, reference, axes)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = super().__call__(data)
        mask = item["roi"]
        item["contour"] = Contour(self.counted(mask.read()), mask.affine, self.margin, self.measured_from)
        return item
