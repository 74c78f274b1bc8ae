# SPDX-License-Identifier: Apache-2.0
"""Heat on the network's grid lands on the right voxels of the original file."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import WholeVolumeRegiond
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.open import open_volume
from scripts.volumes.original_grid import GridVolume, block_around, save_nifti, to_original_grid

from tests.transforms.conftest import affine, rotation

ORIGIN = (-30.0, 12.0, 7.3)
AFFINES = {
    "plain": affine(np.diag([1.5, 1.2, 2.5]), ORIGIN),
    "flipped": affine(np.diag([-1.5, 1.2, -2.5]), ORIGIN),
    "permuted": affine(np.array([[0, 0, 2.5], [1.2, 0, 0], [0, -1.5, 0]]), ORIGIN),
    "oblique": affine(rotation(12, -17, 25) @ np.diag([-1.5, 1.2, 2.5]), ORIGIN),
    "thick slices": affine(rotation(4, 0, -9) @ np.diag([0.8, 0.8, 7.0]), ORIGIN),
    "fine": affine(rotation(30, 5, 0) @ np.diag([0.5, -0.5, 0.6]), ORIGIN),
}
SHAPE = (30, 26, 20)


@pytest.fixture(params=AFFINES)
def original(request, tmp_path: Path):
    """A volume on disk, on each of the grids."""
    path = tmp_path / "scan.nii.gz"
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINES[request.param]), path)
    return open_volume(path)


def grid_of(volume, spacing=(2.0, 2.0, 2.0), size=(16, 14, 18)) -> np.ndarray:
    """The grid that the preprocessing lays over a volume."""
    item = {"case": "p", "image": {"scan": str(volume.path)}}
    for step in (LoadImagePhasesd(phases=["scan"]), WholeVolumeRegiond()):
        item = step(item)
    return ResamplePhasesd(spacing=spacing, size=size)(item)["grid_affine"].numpy()


def test_a_hot_voxel_lands_on_the_voxel_that_contains_its_position(original):
    """At every grid point that is not within a tenth of a voxel of the border between two voxels."""
    grid = grid_of(original)
    tried = 0
    for index in np.random.default_rng(0).permutation(14 * 12 * 16)[:600]:
        hot = np.array(np.unravel_index(index, (14, 12, 16))) + 1
        position = grid[:3, :3] @ hot + grid[:3, 3]
        voxel = np.linalg.solve(original.affine, [*position, 1.0])[:3]
        near_border = (np.abs(voxel - np.round(voxel)) > 0.4).any()
        if near_border or (voxel < 0).any() or (voxel > np.array(SHAPE) - 1).any():
            continue
        heat = np.zeros((16, 14, 18), dtype=np.float32)
        heat[tuple(hot)] = 1
        found = to_original_grid(heat, grid, original)
        assert found.shape == SHAPE
        assert np.unravel_index(found.argmax(), SHAPE) == tuple(np.round(voxel).astype(int))
        tried += 1
    assert tried >= 10


def test_the_centre_of_a_blob_stays_where_it_was(original):
    """In mm, to within a tenth of a voxel of the grid."""
    grid = grid_of(original)
    steps = np.stack(np.meshgrid(*(np.arange(n) for n in (16, 14, 18)), indexing="ij"), axis=-1)
    middle = np.array([7.5, 6.5, 8.5])
    heat = np.exp(-(((steps - middle) / 1.2) ** 2).sum(axis=-1)).astype(np.float32)
    found = to_original_grid(heat, grid, original)
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    centre = (voxels * found[..., None]).sum(axis=(0, 1, 2)) / found.sum()
    centre = original.affine[:3, :3] @ centre + original.affine[:3, 3]
    np.testing.assert_allclose(centre, grid[:3, :3] @ middle + grid[:3, 3], atol=0.2)


def test_heat_is_0_beyond_the_grid_and_the_block_holds_all_of_it(original):
    grid = grid_of(original, size=(6, 5, 4))
    found = to_original_grid(np.ones((6, 5, 4), dtype=np.float32), grid, original)
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    position = voxels @ original.affine[:3, :3].T + original.affine[:3, 3]
    on_grid = (position - grid[:3, 3]) @ np.linalg.inv(grid[:3, :3]).T
    within = ((on_grid > -0.499) & (on_grid < np.array([6, 5, 4]) - 0.501)).all(axis=-1)
    beyond = ((on_grid < -0.501) | (on_grid > np.array([6, 5, 4]) - 0.499)).any(axis=-1)
    np.testing.assert_allclose(found[within], 1, atol=1e-5)
    assert not found[beyond].any()
    outside = np.ones(SHAPE, dtype=bool)
    outside[block_around(GridVolume(np.ones((6, 5, 4)), grid), original)] = False
    assert not (outside & within).any()


def test_a_map_has_the_grid_of_the_scan_in_any_viewer(original, tmp_path):
    """Header by nibabel, and position by ITK, which reads the other of the two forms."""
    import SimpleITK

    save_nifti(tmp_path / "map.nii.gz", np.ones(SHAPE), original.affine)
    found = nibabel.load(tmp_path / "map.nii.gz")
    assert found.shape == SHAPE
    np.testing.assert_allclose(found.get_sform(), original.affine, atol=1e-5)
    np.testing.assert_allclose(found.get_qform(), original.affine, atol=1e-4)
    assert found.header.get_xyzt_units()[0] == "mm"
    scan, map_ = (SimpleITK.ReadImage(str(path)) for path in (original.path, tmp_path / "map.nii.gz"))
    for corner in ((0, 0, 0), (29, 25, 19)):
        np.testing.assert_allclose(
            map_.TransformIndexToPhysicalPoint(corner), scan.TransformIndexToPhysicalPoint(corner), atol=1e-3
        )
