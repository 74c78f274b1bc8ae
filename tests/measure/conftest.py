# SPDX-License-Identifier: Apache-2.0
"""A dataset of spheres: two phases with a mask each, whose volumes and intensities are known."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

SPACING = (1.0, 1.5, 2.0)
SHAPE = (40, 30, 24)
RADII = {"ed": 12.0, "es": 8.0}  # mm, of the outer ball
CAVITY = 4.0  # mm less, of the inner one: structure 2, the wall around it is structure 1


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*SPACING, 1.0]) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return str(path)


def balls(outer: float, shift: float = 0.0) -> np.ndarray:
    """A wall (1) around a cavity (2), its centre `shift` mm along the first axis from the middle."""
    middle = [size * step / 2 for size, step in zip(SHAPE, SPACING, strict=True)]
    middle[0] += shift
    axes = np.meshgrid(*(np.arange(n) * step for n, step in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    away = np.sqrt(sum((axis - centre) ** 2 for axis, centre in zip(axes, middle, strict=True)))
    return ((away < outer).astype(np.uint8) + (away < outer - CAVITY)).astype(np.uint8)


@pytest.fixture
def hearts(tmp_path) -> Path:
    """Eight cases with one mask for each phase: walls of 100, cavities of 200, 10 more at end-systole."""
    folder = tmp_path / "hearts"
    splits: dict[str, list] = {"training": [], "validation": [], "test": []}
    for number in range(8):
        case = f"c{number}"
        image, roi = {}, {}
        for phase, radius in RADII.items():
            labels = balls(radius + 0.2 * number, shift=3.0 if phase == "es" else 0.0)
            voxels = np.array([5, 100, 200])[labels] + (10 if phase == "es" else 0)
            image[phase] = Path(save(folder / case / f"{phase}.nii.gz", voxels.astype(np.int16))).relative_to(folder)
            roi[phase] = Path(save(folder / case / f"{phase}_seg.nii.gz", labels)).relative_to(folder)
        entry = {"case": case, "patient": f"p{number}", "image": image, "roi": roi, "label": "ab"[number % 2]}
        entry |= {"clinical": {"age": 50 + number}}
        splits[
            ("training", "training", "training", "training", "validation", "validation", "test", "test")[number]
        ].append(entry)
    content = {
        "name": "hearts", "phases": ["ed", "es"], "classes": ["a", "b"], "structures": ["wall", "left cavity"],
        "clinical": [{"name": "age", "kind": "number", "unit": "years"}], **splits,
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(content, default=str))
    return folder
