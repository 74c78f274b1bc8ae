# SPDX-License-Identifier: Apache-2.0
"""Register one phase to the reference phase with elastix, and reject implausible results."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scripts.files.plain_text import listing
from scripts.volumes.grid import box_corners
from scripts.volumes.itk import LPS_TO_RAS
from scripts.volumes.volume import Volume
from workbench.prepare.registration.elastix import (
    block_within,
    likeness,
    linear,
    make_image,
    place,
    search,
    shrink,
    start_elastix,
    volume_changes,
)

# Value of `registration` -> elastix's default parameter maps, searched one after the other.
TRANSFORMS: dict[str, tuple[str, ...]] = {
    "none": (),
    "rigid": ("rigid",),
    "affine": ("rigid", "affine"),
    "deformable": ("rigid", "bspline"),
}


@dataclass(frozen=True)
class Registration:
    """How phases are registered to the reference phase, and which results are rejected.

    Args:
        transform: none, rigid (turn and shift), affine (also scale and shear) or deformable (also bend).
        margin: mm around the region of interest in which the phases are compared, and bent.
        seconds: no further search of a pair begins after this time; what was found by then counts.
        max_shift: mm; a region that would move further stays where it is.
        max_rotation: degrees; likewise.

    Raises:
        ValueError: an unknown transform, or a number that is not above 0 (the margin: 0 or more).
    """

    transform: str = "none"
    margin: float = 40.0
    seconds: float = 60.0
    max_shift: float = 30.0
    max_rotation: float = 15.0

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            known = listing(str(self.transform), TRANSFORMS)
            raise ValueError(f"registration must be one of {known}, found {self.transform!r}; correct --registration")
        for name in ("margin", "seconds", "max_shift", "max_rotation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(
                    f"registration_{name} must be a number of 0 or more, found {value!r}; correct --registration_{name}"
                )


# Largest stretch of an affine transform along any direction; the smallest is one over it.
MOST_SCALE = 1.25
# Largest local change of volume of a deformable transform; the smallest is one over it.
MOST_VOLUME = 4.0
# Of the compared points that both phases show before the move, this share must still be shown after it.
LEAST_OVERLAP = 0.75


class NotRegistered(ValueError):
    """The phase stays where it is; the message says why."""


@dataclass(frozen=True)
class Match:
    """How a phase is moved, and bent.

    Attributes:
        matrix: position in the file -> position in the reference phase, mm (R, A, S), [4, 4].
        before: mutual information of the two phases in nats; larger means more similar.
        after: the same after the move.
        shift: mm that the centre of the region moves, or if it is bent, its corner that moves most.
        rotation: degrees.
        warp: SimpleITK transform, position in the reference phase -> in the moved one; None bends nothing.
    """

    matrix: np.ndarray
    before: float
    after: float
    shift: float
    rotation: float
    warp: Any | None = None


def match_pair(fixed: Volume, moving: Volume, region: np.ndarray, settings: Registration) -> Match:
    """Find the transform that makes a phase most similar to the reference phase around the region.

    Adaptive stochastic gradient descent on Mattes' mutual information of random points within the margin, with
    linear interpolation and three levels from coarse to fine, starts at the position in the headers. One thread
    and one seed give the same result each time, unless the time runs out.

    Args:
        fixed: the reference phase.
        moving: the phase to move.
        region: lower and upper corner in mm (R, A, S), [2, 3].
        settings: transform, margin and limits.

    Raises:
        NotRegistered: nothing to compare, no gain, or a move beyond the limits.

    Reference:
        Klein et al., elastix: a toolbox for intensity-based medical image registration, IEEE Transactions on
        Medical Imaging 29 (2010).
    """
    box = around(region, settings.margin)
    still = _block(fixed, box, "the reference phase")
    moved = _block(moving, around(box, settings.max_shift), "the phase")
    start_elastix()
    matrix, warp, placed, found = np.eye(4), None, moved, None
    deadline = time.monotonic() + settings.seconds
    for kind in TRANSFORMS[settings.transform]:
        if time.monotonic() >= deadline:
            break
        placed = place(moved, matrix)  # earlier results go into the header, so that each search starts at the identity
        found = search(still, placed, kind)
        if kind == "bspline":
            warp = found
        else:
            matrix = np.linalg.inv(linear(found)) @ matrix
    before = likeness(still, moved)
    rotation, scales = _parts(matrix[:3, :3])
    points = region.mean(axis=0)[None] if warp is None else box_corners(region)
    shift = np.linalg.norm(sources(points, matrix, warp) - points, axis=1).max()
    match = Match(matrix, before, likeness(still, placed, found), float(shift), rotation, warp)
    _check(match, scales, settings)
    _check_overlap(fixed, moving, box, matrix)
    if warp is not None:
        _check_folds(still, warp)
    return match


def around(box: np.ndarray, margin: float) -> np.ndarray:
    """Return a box, [2, 3], with a margin on all sides."""
    return box + np.array([[-margin], [margin]])


def _block(volume: Volume, box: np.ndarray, name: str) -> Any:
    """Read the block of a volume within a box as an image."""
    low, high = block_within(volume.affine, volume.shape, box)
    if (low >= high).any():
        raise NotRegistered(f"{name} does not reach the region")
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    block = volume.read((first, second, third))
    if block.min() == block.max() or min(block.shape) < 4:
        found = f"{block.flat[0]:g} everywhere" if block.min() == block.max() else f"{block.shape} voxels"
        raise NotRegistered(f"{name} has nothing to compare around the region, found {found}")
    return shrink(make_image(block, volume.affine, low))


def _parts(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the rotation in degrees of a [3, 3] matrix, and its stretches."""
    from scipy.linalg import polar
    from scipy.spatial.transform import Rotation

    rotation, stretch = polar(matrix)
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude())), np.linalg.eigvalsh(stretch)


def sources(points: np.ndarray, matrix: np.ndarray, warp: Any | None) -> np.ndarray:
    """Return the positions in the file that are shown at points of the reference phase, mm (R, A, S)."""
    if warp is not None:
        there = [warp.TransformPoint(point.tolist()) for point in points @ LPS_TO_RAS[:3, :3]]
        points = np.array(there) @ LPS_TO_RAS[:3, :3]
    back = np.linalg.inv(matrix)
    return points @ back[:3, :3].T + back[:3, 3]


def _check(match: Match, scales: np.ndarray, settings: Registration) -> None:
    if not match.after > match.before:
        raise NotRegistered(f"no gain, mutual information {match.before:.4f} before and {match.after:.4f} after")
    if match.shift > settings.max_shift or match.rotation > settings.max_rotation:
        raise NotRegistered(
            f"implausible, {match.shift:.1f} mm and {match.rotation:.1f} degrees where at most "
            f"{settings.max_shift:g} mm and {settings.max_rotation:g} degrees are believed"
        )
    if scales.min() < 1 / MOST_SCALE - 1e-9 or scales.max() > MOST_SCALE + 1e-9:
        raise NotRegistered(
            f"implausible, stretched by {scales.min():.2f} to {scales.max():.2f} where {1 / MOST_SCALE:g} to "
            f"{MOST_SCALE:g} is believed"
        )


def _check_overlap(fixed: Volume, moving: Volume, box: np.ndarray, matrix: np.ndarray) -> None:
    """Refuse a move that gains by showing less of the region."""
    steps = np.linspace(box[0], box[1], 12)
    points = np.stack(np.meshgrid(*steps.T, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[_inside(fixed, np.eye(4), points)]
    before, after = (_inside(moving, move, points).sum() for move in (np.eye(4), matrix))
    if after < LEAST_OVERLAP * before:
        raise NotRegistered(f"the phase would show {after / before:.0%} of what it shows of the region now")


def _inside(volume: Volume, move: np.ndarray, points: np.ndarray) -> np.ndarray:
    to_voxel = np.linalg.inv(move @ volume.affine)
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    return ((voxels >= -0.5) & (voxels <= np.array(volume.shape) - 0.5)).all(axis=1)


def _check_folds(still: Any, warp: Any) -> None:
    """Refuse a transform that folds tissue or changes its volume implausibly."""
    least, most = volume_changes(still, warp)
    if least < 1 / MOST_VOLUME or most > MOST_VOLUME:
        raise NotRegistered(
            f"implausible, volumes change by {least:.2f} to {most:.2f} times where {1 / MOST_VOLUME:g} to "
            f"{MOST_VOLUME:g} is believed"
        )
