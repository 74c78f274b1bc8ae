# SPDX-License-Identifier: Apache-2.0
"""Label maps on other grids, and back on the voxels of a file."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scripts.volumes.label_map import on_original_voxels, sample_labels
from scripts.volumes.open import open_volume


def ball(size: int, spacing: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A ball of label 2 in a shell of label 1 about the origin of the mm."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -(size - 1) / 2 * spacing
    distance = np.linalg.norm(np.indices((size,) * 3).reshape(3, -1) * spacing + affine[:3, 3:], axis=0)
    labels = (distance < 2 * radius).astype(np.uint8) + (distance < radius)
    return labels.reshape((size,) * 3).astype(np.uint8), affine


def test_the_same_grid_gives_a_copy_and_a_turned_one_the_same_labels_turned():
    labels = np.random.default_rng(0).integers(0, 4, (5, 6, 7)).astype(np.uint8)
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    same, inside = sample_labels(labels, affine, affine, (5, 6, 7), 3)
    assert inside.all()
    assert (same == labels).all()
    turned = affine.copy()
    turned[:, 0] *= -1
    turned[0, 3] = 4 * 1.5  # the same points, the first axis backwards
    assert (sample_labels(labels, affine, turned, (5, 6, 7), 3)[0] == labels[::-1]).all()


def test_a_finer_grid_keeps_the_volume_of_every_structure_and_beyond_the_mask_is_background():
    labels, affine = ball(40, 2.0, 16.0)
    finer, spacing = affine.copy(), 0.8
    finer[:3, :3] = np.eye(3) * spacing
    found, inside = sample_labels(labels, affine, finer, (130, 100, 100), 2)
    assert not inside[101:].any()
    assert not found[101:].any()
    for value in (1, 2):
        expected = (labels == value).sum() * 8.0
        assert (found == value).sum() * spacing**3 == pytest.approx(expected, rel=0.02)


def test_labels_come_back_on_the_voxels_of_the_file(tmp_path):
    labels, affine = ball(20, 2.0, 7.0)
    file = np.diag([1.3, 1.7, 2.9, 1.0])
    file[:3, 3] = -18.0
    nibabel.save(nibabel.Nifti1Image(np.zeros((28, 22, 13), np.int16), file), tmp_path / "image.nii.gz")
    volume = open_volume(str(tmp_path / "image.nii.gz"), "image")
    probabilities = np.stack([labels == value for value in range(3)]).astype(np.float32)
    found = on_original_voxels(probabilities, affine, volume)
    assert (found == sample_labels(labels, affine, volume.affine, (28, 22, 13), 2)[0]).all()
    assert found.shape == volume.shape
    assert set(np.unique(found)) == {0, 1, 2}
