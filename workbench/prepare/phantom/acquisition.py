# SPDX-License-Identifier: Apache-2.0
"""How the phantom's patient is scanned: CT numbers of each tissue and phase, on a grid, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from workbench.prepare.phantom.anatomy import Patient, draw_patient, kidney_depth_mm, stomach_depth_mm, wall_depth_mm
from workbench.prepare.phantom.oracle import PHASES, REFERENCE, Latents, case_rng, draw_latents

TISSUE_HU: dict[str, dict[str, float]] = {
    "fat": {"pre": -95.0, "arterial": -93.0, "portal": -90.0},
    "muscle": {"pre": 52.0, "arterial": 57.0, "portal": 64.0},
    "bone": {"pre": 210.0, "arterial": 215.0, "portal": 220.0},
    "liver": {"pre": 56.0, "arterial": 68.0, "portal": 108.0},
    "aorta": {"pre": 42.0, "arterial": 270.0, "portal": 150.0},
    "cava": {"pre": 42.0, "arterial": 72.0, "portal": 138.0},
    "portal_vein": {"pre": 42.0, "arterial": 88.0, "portal": 162.0},
    "hepatic_vein": {"pre": 42.0, "arterial": 58.0, "portal": 150.0},
    "stomach": {"pre": 36.0, "arterial": 85.0, "portal": 95.0},
    "kidney": {"pre": 34.0, "arterial": 145.0, "portal": 170.0},
}
BLOOD_AND_BOWEL = ("aorta", "cava", "portal_vein", "hepatic_vein", "kidney")
TEXTURE_HU = 3.5
HETEROGENEITY = 0.10
EDGE_MM = 1.0


def draw_tissue_hu(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """This patient's tissues: liver within a few HU, enhancing organs within 10%, whatever the class."""
    drawn = {}
    for tissue, per_phase in TISSUE_HU.items():
        scale = rng.normal(1.0, 0.10) if tissue in BLOOD_AND_BOWEL else 1.0
        shift = rng.normal(0.0, 5.0, len(PHASES)) if tissue == "liver" else np.zeros(len(PHASES))
        drawn[tissue] = {
            phase: per_phase["pre"] + scale * (per_phase[phase] - per_phase["pre"]) + float(shift[i])
            for i, phase in enumerate(PHASES)
        }
    return drawn


def _lay(image: np.ndarray, depth_mm: np.ndarray, value: np.ndarray | np.float32) -> None:
    """Paint a body over the image, its surface blurred over 2 * EDGE_MM."""
    image += np.clip(depth_mm / (2.0 * EDGE_MM) + 0.5, 0.0, 1.0) * (value - image)


def paint(
    patient: Patient, tissue_hu: Mapping[str, Mapping[str, float]], phase: str, contrast_hu: float, points: np.ndarray
) -> np.ndarray:
    """Noise-free CT numbers of one phase.

    Args:
        tissue_hu: CT number per tissue and phase, from `draw_tissue_hu`.
        contrast_hu: lesion minus liver in this phase, HU.

    Shape:
        points [N, 3] -> [N] in HU
    """
    hu = {tissue: np.float32(per_phase[phase]) for tissue, per_phase in tissue_hu.items()}
    image = np.full(len(points), hu["fat"], dtype=np.float32)
    _paint_neighbours(image, hu, points)
    liver_depth = patient.liver_depth_mm(points)
    near_liver = np.flatnonzero(liver_depth > -EDGE_MM)
    organ = image[near_liver]
    _paint_liver(organ, hu, patient, liver_depth[near_liver], contrast_hu, points[near_liver])
    image[near_liver] = organ
    x, y, _ = points.T
    _lay(image, 9.0 - np.hypot(x + 30.0, y + 22.0), hu["cava"])
    return image


def _paint_neighbours(image: np.ndarray, hu: Mapping[str, np.float32], points: np.ndarray) -> None:
    """Abdominal wall with ribs, spine, aorta, kidney and stomach."""
    x, y, z = points.T
    wall = wall_depth_mm(points)
    _lay(image, 5.0 - np.abs(wall + 5.5), hu["muscle"])
    rib = np.cos(2.0 * np.pi * (z + 0.35 * y) / 23.0)
    _lay(image, np.minimum(2.6 - np.abs(wall + 5.0), 7.0 * (rib - 0.45)), hu["bone"])
    _lay(image, 18.0 - np.hypot(x + 60.0, y + 52.0), hu["bone"] - 60.0)
    _lay(image, 8.5 - np.hypot(x + 52.0, y + 22.0), hu["aorta"])
    kidney = kidney_depth_mm(points)
    _lay(image, kidney, hu["kidney"])
    _lay(image, kidney - 9.0, 0.6 * hu["kidney"])
    stomach = stomach_depth_mm(points)
    _lay(image, stomach, hu["stomach"])
    _lay(image, stomach - 4.0, np.float32(12.0))


def _paint_liver(
    image: np.ndarray,
    hu: Mapping[str, np.float32],
    patient: Patient,
    liver_depth: np.ndarray,
    contrast_hu: float,
    points: np.ndarray,
) -> None:
    """Parenchyma, vessels and the lesion.

    Inside the lesion: liver + contrast_hu * (1 + mottle), where the mottle is the same in every phase and
    averages to 0 over the lesion, so that the oracle knows the mean contrast.
    """
    grain = patient.texture.at(points)
    _lay(image, liver_depth, hu["liver"] + TEXTURE_HU * grain)
    for vessel, tubes in (("portal_vein", patient.portal_depth_mm), ("hepatic_vein", patient.hepatic_depth_mm)):
        _lay(image, np.minimum(tubes.at(points), liver_depth - 1.5), hu[vessel])
    depth = patient.lesion.depth_mm(points)
    inside = depth > 0
    mottle = grain - grain[inside].mean()
    mottle *= HETEROGENEITY / max(float(grain[inside].std()), 0.5)
    _lay(image, depth, hu["liver"] + np.float32(contrast_hu) * (1.0 + mottle))


NOISE_HU = {"A": 7.0, "B": 8.5, "C": 10.0}
BIAS = 0.04
SHIFT_MM = (1.0, 2.0)


@dataclass(frozen=True)
class Grid:
    """How a phase is sampled."""

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    axes: tuple[int, int, int] = (1, 1, 1)  # sign per axis; (1, 1, 1) is stored as RAS, (-1, -1, 1) as LPS
    tilt_degrees: float = 0.0  # rotation about the axis that runs from left to right (gantry tilt)

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
class Scan:
    """Voxels [X, Y, Z] (int16 HU, or a uint8 mask) and the affine that places them, in RAS mm."""

    voxels: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Case:
    """One phantom case: its truth, the phases that were acquired, and the lesion's mask.

    The mask lies on the grid of the reference phase, or of the first phase present where that one is missing.
    """

    latents: Latents
    images: dict[str, Scan]
    roi: Scan


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
        images[phase] = Scan(_scan(rng, ideal, grid, NOISE_HU[latents.site]), affine)
        inside = patient.lesion.depth_mm(points) > 0
        masks[phase] = Scan(inside.reshape(grid.size).astype(np.uint8), affine)
    return Case(latents, images, masks.get(REFERENCE, next(iter(masks.values()))))
