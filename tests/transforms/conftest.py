# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the transforms' tests: volumes on any grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a NIfTI file and returns its path."""

    def write(name: str, voxels: np.ndarray, affine: Any = None) -> str:
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else np.asarray(affine, float)), path)
        return str(path)

    return write


@pytest.fixture
def smooth() -> Callable[..., np.ndarray]:
    """Return a function that makes a smooth random volume."""
    from scipy.ndimage import gaussian_filter

    def make(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=shape)
        return (gaussian_filter(noise, 1.5) * 1000).astype(np.float32)

    return make


def rotation(*degrees: float) -> np.ndarray:
    """Return a rotation matrix about x, y, z."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def affine(matrix: np.ndarray, origin: tuple[float, float, float]) -> np.ndarray:
    """Return a 4 x 4 affine."""
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = matrix, origin
    return result


@pytest.fixture
def affines() -> dict[str, np.ndarray]:
    """Return affines of every kind, by name."""
    origin = (-30.0, 12.0, 7.3)
    permuted = np.array([[0, 0, 2.5], [1.2, 0, 0], [0, -1.5, 0]])
    sheared = np.array([[1.5, 0.1, 0.4], [0, 1.2, 0.3], [0, 0, 2.5]])
    return {
        "plain": affine(np.diag([1.5, 1.2, 2.5]), origin),
        "flipped": affine(np.diag([-1.5, 1.2, -2.5]), origin),
        "permuted": affine(permuted, origin),
        "oblique": affine(rotation(12, -17, 25) @ np.diag([-1.5, 1.2, 2.5]), origin),
        "sheared": affine(sheared, origin),
    }
