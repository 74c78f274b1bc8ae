"""CT numbers: what each tissue of the phantom's patient measures in each phase, painted back to front."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scripts.data.phantom.anatomy import Patient, kidney_depth_mm, stomach_depth_mm, wall_depth_mm
from scripts.data.phantom.latents import PHASES

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
    """Paint a body over the image; its surface is blurred over 2 * EDGE_MM."""
    image += np.clip(depth_mm / (2.0 * EDGE_MM) + 0.5, 0.0, 1.0) * (value - image)


def paint(
    patient: Patient,
    tissue_hu: Mapping[str, Mapping[str, float]],
    phase: str,
    contrast_hu: float,
    points: np.ndarray,
) -> np.ndarray:
    """Noise-free CT numbers of one phase.

    Args:
        patient: the anatomy.
        tissue_hu: CT number per tissue and phase, from `draw_tissue_hu`.
        phase: one of `PHASES`.
        contrast_hu: lesion minus liver in this phase, HU.
        points: positions in mm.

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
    averages to 0 over the lesion, so that the mean contrast is the one the oracle knows.
    """
    grain = patient.texture.at(points)
    _lay(image, liver_depth, hu["liver"] + TEXTURE_HU * grain)
    for vessel, tubes in (
        ("portal_vein", patient.portal_depth_mm),
        ("hepatic_vein", patient.hepatic_depth_mm),
    ):
        _lay(image, np.minimum(tubes.at(points), liver_depth - 1.5), hu[vessel])
    depth = patient.lesion.depth_mm(points)
    inside = depth > 0
    mottle = grain - grain[inside].mean()
    mottle *= HETEROGENEITY / max(float(grain[inside].std()), 0.5)
    _lay(image, depth, hu["liver"] + np.float32(contrast_hu) * (1.0 + mottle))
