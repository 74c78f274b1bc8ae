"""What a user says about the registration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from scripts.files.plain_text import listing
from scripts.volumes.grid import box_corners
from scripts.volumes.itk import LPS_TO_RAS
from scripts.volumes.volume import Volume

TRANSFORMS = ("none", "rigid", "affine")


@dataclass(frozen=True)
class Registration:
    """How phases are registered to the reference phase, and what is not believed.

    Args:
        transform: none, rigid (turn and shift) or affine (also scale and shear).
        margin: mm around the region of interest in which the phases are compared.
        seconds: time at most for the search of one pair; the best found by then counts.
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
            raise ValueError(
                f"registration must be one of {known}, found {self.transform!r}; correct --registration"
            )
        for name in ("margin", "seconds", "max_shift", "max_rotation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(
                    f"registration_{name} must be a number of 0 or more, found {value!r}; correct "
                    f"--registration_{name}"
                )


BINS = 32
MOST_VOXELS = 2_000_000
"""A larger block is averaged over neighbouring voxels first."""
MOST_SAMPLES = 100_000
"""Voxels compared per step of the search; the figures before and after are of all voxels."""
LEVELS_MM = (4.0, 2.0, 1.0)
"""Smoothing of the three levels of the search; the first one is also taken at half the resolution."""
MOST_STEPS = 100
"""Steps of the search per level."""
MOST_SCALE = 1.25
"""Largest stretch of an affine transform along any direction; the smallest is one over it."""
LEAST_OVERLAP = 0.75
"""Share of the compared points seen in both phases before that must still be so afterwards."""


class NotRegistered(ValueError):
    """The phase stays where it is; the message says why, in a few words."""


@dataclass(frozen=True)
class Match:
    """How a phase is moved.

    Attributes:
        matrix: position as the file has it -> position in the reference phase, mm (R, A, S), [4, 4].
        before: mutual information of the two phases in nats; larger is more alike.
        after: the same after the move.
        shift: mm that the centre of the region moves.
        rotation: degrees.
    """

    matrix: np.ndarray
    before: float
    after: float
    shift: float
    rotation: float


def match_pair(fixed: Volume, moving: Volume, region: np.ndarray, settings: Registration) -> Match:
    """Find the transform that makes a phase most alike to the reference phase around the region.

    Mattes' mutual information of all voxels within the margin, linear interpolation, three levels from coarse
    to fine, regular-step gradient descent from the position in the headers. One thread: the same result each
    time, unless the time runs out.

    Args:
        fixed: the reference phase.
        moving: the phase to move.
        region: lower and upper corner in mm (R, A, S), [2, 3].
        settings: transform, margin and limits.

    Raises:
        NotRegistered: nothing to compare, no gain, or a move beyond the limits.

    Reference:
        Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE Transactions
        on Medical Imaging 22 (2003), equations 3 to 8.
    """
    margin = np.array([[-settings.margin], [settings.margin]])
    around = region + margin
    still = _image(fixed, around, "the reference phase")
    moved = _image(moving, around + np.sign(margin) * settings.max_shift, "the phase")
    centre = region.mean(axis=0)
    deadline = time.monotonic() + settings.seconds
    found = _search(still, moved, _euler(centre), deadline)
    if settings.transform == "affine":
        found = _search(still, moved, _affine_from(found), deadline)
    matrix = np.linalg.inv(_matrix(found))
    before, after = (
        -_method(transform).MetricEvaluate(still, moved) for transform in (_euler(centre), found)
    )
    rotation, scales = _parts(matrix[:3, :3])
    shift = float(np.linalg.norm(matrix[:3, :3] @ centre + matrix[:3, 3] - centre))
    match = Match(matrix, float(before), float(after), shift, rotation)
    _check(match, scales, settings)
    _check_overlap(fixed, moving, around, matrix)
    return match


def _image(volume: Volume, box: np.ndarray, name: str) -> Any:
    """Read the block of a volume within a box as a SimpleITK image."""
    import SimpleITK

    low, high = _voxels(volume, box)
    if (low >= high).any():
        raise NotRegistered(f"{name} does not reach the region")
    first, second, third = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    block = volume.read((first, second, third))
    if block.min() == block.max() or min(block.shape) < 4:
        found = f"{block.flat[0]:g} everywhere" if block.min() == block.max() else f"{block.shape} voxels"
        raise NotRegistered(f"{name} has nothing to compare around the region, found {found}")
    affine = LPS_TO_RAS @ volume.affine
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(block.T))
    image.SetSpacing(volume.spacing.tolist())
    image.SetDirection((affine[:3, :3] / volume.spacing).ravel().tolist())
    image.SetOrigin((affine[:3, :3] @ low + affine[:3, 3]).tolist())
    factors = np.ones(3, dtype=int)
    while np.prod(np.array(block.shape) // factors) > MOST_VOXELS:
        factors[np.argmin(volume.spacing * factors)] += 1
    return SimpleITK.BinShrink(image, factors.tolist()) if factors.max() > 1 else image


def _voxels(volume: Volume, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last + 1 voxel of a volume, along its own axes, that cover a box."""
    to_voxel = np.linalg.inv(volume.affine)
    points = box_corners(box) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    low = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
    return low, np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, volume.shape)


def _euler(centre: np.ndarray) -> Any:
    import SimpleITK

    transform = SimpleITK.Euler3DTransform()
    transform.SetCenter((LPS_TO_RAS[:3, :3] @ centre).tolist())
    return transform


def _affine_from(rigid: Any) -> Any:
    import SimpleITK

    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(rigid.GetCenter())
    transform.SetMatrix(rigid.GetMatrix())
    transform.SetTranslation(rigid.GetTranslation())
    return transform


def _method(transform: Any) -> Any:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _search(still: Any, moved: Any, transform: Any, deadline: float) -> Any:
    """Move `transform` (positions of `still` -> of `moved`) uphill until the deadline, and return it."""
    import SimpleITK

    method = _method(transform)
    share = MOST_SAMPLES / np.prod(still.GetSize())
    if share < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(float(share), seed=1)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=0.01, numberOfIterations=MOST_STEPS, relaxationFactor=0.5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1, 1] if min(still.GetSize()) >= 8 else [1, 1, 1])
    method.SetSmoothingSigmasPerLevel(LEVELS_MM)
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.AddCommand(
        SimpleITK.sitkIterationEvent,
        lambda: method.StopRegistration() if time.monotonic() > deadline else None,
    )
    try:
        method.Execute(still, moved)
    except RuntimeError:  # ITK's word for samples that all left the image
        raise NotRegistered("the search lost the phase") from None
    finally:
        method.RemoveAllCommands()  # the command holds the method, and the method the command
    return transform


def _matrix(transform: Any) -> np.ndarray:
    """Return a SimpleITK transform with a centre as a matrix in R, A, S."""
    matrix, centre = np.eye(4), np.array(transform.GetCenter())
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS


def _parts(matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the rotation in degrees of a [3, 3] matrix, and its stretches."""
    from scipy.linalg import polar
    from scipy.spatial.transform import Rotation

    rotation, stretch = polar(matrix)
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude())), np.linalg.eigvalsh(stretch)


def _check(match: Match, scales: np.ndarray, settings: Registration) -> None:
    if not match.after > match.before:
        raise NotRegistered(
            f"no gain, mutual information {match.before:.4f} before and {match.after:.4f} after"
        )
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


def _check_overlap(fixed: Volume, moving: Volume, around: np.ndarray, matrix: np.ndarray) -> None:
    """Refuse a move that gains by showing less of the region."""
    steps = np.linspace(around[0], around[1], 12)
    points = np.stack(np.meshgrid(*steps.T, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[_inside(fixed, np.eye(4), points)]
    before, after = (_inside(moving, move, points).sum() for move in (np.eye(4), matrix))
    if after < LEAST_OVERLAP * before:
        raise NotRegistered(f"the phase would show {after / before:.0%} of what it shows of the region now")


def _inside(volume: Volume, move: np.ndarray, points: np.ndarray) -> np.ndarray:
    to_voxel = np.linalg.inv(move @ volume.affine)
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    return ((voxels >= -0.5) & (voxels <= np.array(volume.shape) - 0.5)).all(axis=1)
