"""How a phase of the phantom is scanned: its own grid, a small patient shift, bias field, noise, int16 HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from scripts.data.phantom.anatomy import Patient, draw_patient
from scripts.data.phantom.latents import PHASES, REFERENCE, Latents, case_rng, draw_latents
from scripts.data.phantom.tissue import draw_tissue_hu, paint

NOISE_HU = {"A": 7.0, "B": 8.5, "C": 10.0}
BIAS = 0.04
SHIFT_MM = (1.0, 2.0)


@dataclass(frozen=True)
class Grid:
    """How a phase is sampled.

    Args:
        size: voxels per axis.
        spacing_mm: voxel size per axis.
        axes: sign per axis; (1, 1, 1) is stored as RAS, (-1, -1, 1) as LPS.
        tilt_degrees: rotation about the axis that runs from left to right (gantry tilt).
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: tuple[int, int, int] = (1, 1, 1)
    tilt_degrees: float = 0.0

    def affine(self, centre_mm: np.ndarray) -> np.ndarray:
        """Voxel index -> RAS mm, with `centre_mm` in the middle of the grid. Shape: [3] -> [4, 4]."""
        angle = np.deg2rad(self.tilt_degrees)
        tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        matrix = np.eye(4)
        matrix[:3, :3] = tilt @ np.diag(np.array(self.axes) * np.array(self.spacing_mm))
        matrix[:3, 3] = centre_mm - matrix[:3, :3] @ ((np.array(self.size) - 1) / 2)
        return matrix

    def points_mm(self, affine: np.ndarray) -> np.ndarray:
        """Position of every voxel, last axis fastest. Shape: [4, 4] -> [N, 3]."""
        index = np.indices(self.size, dtype=np.float32).reshape(3, -1)
        return (affine[:3, :3].astype(np.float32) @ index).T + affine[:3, 3].astype(np.float32)


GRIDS = {
    "pre": Grid((44, 44, 20), (2.3, 2.3, 5.0)),
    "arterial": Grid((48, 48, 24), (2.0, 2.0, 4.0), tilt_degrees=4.0),
    "portal": Grid((50, 50, 26), (1.9, 1.9, 3.8), axes=(-1, -1, 1)),
}


@dataclass(frozen=True)
class Volume:
    """Voxels [X, Y, Z] (int16 HU, or a uint8 mask) and the affine that places them, in RAS mm."""

    voxels: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Case:
    """One phantom case: its truth, the phases that were acquired, and the lesion's mask.

    The mask lies on the grid of the reference phase, or of the first phase present where that one is missing.
    """

    latents: Latents
    images: dict[str, Volume]
    roi: Volume


def _scan(rng: np.random.Generator, ideal_hu: np.ndarray, grid: Grid, noise_hu: float) -> np.ndarray:
    """Bias field and noise: HU * (1 + bias) + noise correlated over neighbouring voxels, rounded to int16."""
    ramp = [np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in grid.size]
    x, y, z = np.meshgrid(*ramp, indexing="ij", sparse=True)
    a = rng.uniform(-1.0, 1.0, 6).astype(np.float32)
    bias = a[0] * x + a[1] * y + a[2] * z + a[3] * (x * x - 0.3) + a[4] * (y * y - 0.3) + a[5] * x * y
    noise = gaussian_filter(rng.standard_normal(grid.size, dtype=np.float32), (0.55, 0.55, 0.3), truncate=3.0)
    scanned = ideal_hu.reshape(grid.size) * (1.0 + BIAS * bias) + noise_hu * noise / noise.std()
    return np.rint(scanned).astype(np.int16)


def _shift_mm(rng: np.random.Generator, phase: str) -> np.ndarray:
    """Where the patient lies in this phase relative to the reference phase: 1 to 2 mm off, any direction."""
    direction = rng.standard_normal(3)
    length = 0.0 if phase == REFERENCE else rng.uniform(*SHIFT_MM)
    return length * direction / np.linalg.norm(direction)


def make_case(seed: int, index: int) -> Case:
    """Case `index` of the phantom with this seed; the same whichever other cases are made.

    >>> case = make_case(seed=0, index=3)
    >>> case.roi.voxels.dtype, case.images["arterial"].voxels.shape
    (dtype('uint8'), (48, 48, 24))
    """
    latents = draw_latents(seed, index)
    rng = case_rng(seed, index, "anatomy")
    patient: Patient = draw_patient(rng)
    tissue_hu = draw_tissue_hu(rng)
    origin_mm = rng.uniform((20.0, -30.0, -250.0), (60.0, 10.0, 150.0))
    images, masks = {}, {}
    for i, phase in enumerate(PHASES):
        if phase not in latents.present_phases():
            continue
        grid, rng = GRIDS[phase], case_rng(seed, index, f"scan {phase}")
        shift = _shift_mm(rng, phase)
        affine = grid.affine(np.round(origin_mm + rng.uniform(-3.0, 3.0, 3), 2))
        points = grid.points_mm(affine) - (origin_mm + shift).astype(np.float32)
        ideal = paint(patient, tissue_hu, phase, latents.contrast_hu[i], points)
        images[phase] = Volume(_scan(rng, ideal, grid, NOISE_HU[latents.site]), affine)
        inside = patient.lesion.depth_mm(points) > 0
        masks[phase] = Volume(inside.reshape(grid.size).astype(np.uint8), affine)
    return Case(latents, images, masks.get(REFERENCE, next(iter(masks.values()))))
