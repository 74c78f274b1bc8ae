"""Registration: known moves of phantom phases are undone, in the header alone; what cannot be stays as it is."""

from __future__ import annotations

import csv
import time
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scripts.data.phantom.acquisition import GRIDS, SHIFT_MM, _shift_mm, make_case
from scripts.data.phantom.latents import case_rng
from scripts.data.registration import Registration, register_cases
from scripts.data.volumes import open_volume

PHASES = ["pre", "arterial", "portal"]
VOXEL_MM = min(GRIDS["portal"].spacing_mm)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return str(path)


def about(centre: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return x -> matrix (x - centre) + centre + shift, [4, 4]."""
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = matrix, centre + shift - matrix @ centre
    return move


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def moved_case(folder: Path, index: int, stretch: float = 1.0) -> tuple[dict, dict, np.ndarray]:
    """Write a phantom case whose other phases are moved by up to 8 mm and 6 degrees more.

    Returns:
        its entry of dataset.json; phase -> position of the reference -> position in the file, [4, 4]; and
        the corners of the region.
    """
    case = make_case(0, index)
    portal, name = case.images["portal"], f"p{index}"
    inside = np.argwhere(case.roi.voxels > 0)
    edges = np.stack([inside.min(axis=0) - 0.5, inside.max(axis=0) + 0.5])
    corners = apply(portal.affine, np.array(list(product(*edges.T))))
    rng, truth, image = np.random.default_rng([7, index]), {}, {}
    for phase, volume in case.images.items():
        move = np.eye(4)
        if phase != "portal":
            axis, direction = rng.normal(size=(2, 3))
            turn = Rotation.from_rotvec(np.radians(rng.uniform(0, 6)) * axis / np.linalg.norm(axis))
            shift = rng.uniform(0, 8) * direction / np.linalg.norm(direction)
            scale = np.diag([stretch, 1 / stretch, 1.0])
            move = about(corners.mean(axis=0), turn.as_matrix() @ scale, shift)
        own = np.eye(4)
        own[:3, 3] = _shift_mm(case_rng(0, index, f"scan {phase}"), phase)
        truth[phase] = move @ own
        image[phase] = save(folder / name / f"{phase}.nii.gz", volume.voxels, move @ volume.affine)
    roi = save(folder / name / "lesion.nii.gz", case.roi.voxels, case.roi.affine)
    return {"case": name, "image": image, "roi": roi, "label": "low"}, truth, corners


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "registration.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def residuals(
    before: dict, after: dict, truth: dict[str, np.ndarray], corners: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return phase -> mean distance in mm of the region's corners from their place, before and after."""
    found = {}
    for phase in set(truth) - {"portal"}:
        start, end = (open_volume(entry["image"][phase]).affine for entry in (before, after))
        places = apply(truth[phase], corners)
        away = [np.linalg.norm(apply(m, places) - corners, axis=1).mean() for m in (np.eye(4), end @ np.linalg.inv(start))]
        found[phase] = (float(away[0]), float(away[1]))
    return found


def test_known_moves_are_undone_to_less_than_a_voxel(tmp_path):
    indices = [index for index in range(12) if "portal" in make_case(0, index).images][:6]
    made = [moved_case(tmp_path / "in", index) for index in indices]
    start = time.perf_counter()
    moved, notes = register_cases(
        [entry for entry, _, _ in made], PHASES, "portal", tmp_path / "out", Registration("rigid"), workers=1
    )
    each = [residuals(entry, after, truth, corners) for (entry, truth, corners), after in zip(made, moved, strict=True)]
    before, after = np.array([pair for phases in each for pair in phases.values()]).T
    assert {phase for phases in each for phase in phases} == {"pre", "arterial"}
    print(f"residual {after.mean():.2f} mm (largest {after.max():.2f}) of {before.mean():.2f} in "
          f"{(time.perf_counter() - start) / len(after):.1f} s per pair")
    assert before.max() > 2 * VOXEL_MM
    assert after.mean() < VOXEL_MM / 2
    assert after.max() < VOXEL_MM
    rows = table(tmp_path / "out")
    assert len(rows) == len(after)
    assert all(float(row["mutual_information_after"]) > float(row["mutual_information_before"]) for row in rows)
    assert {(row["registered"], row["region"], row["reason"]) for row in rows} == {("yes", "mask", "")}
    assert notes[0].startswith(f"registered {len(after)} of {len(after)} phases")
