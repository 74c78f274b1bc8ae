# SPDX-License-Identifier: Apache-2.0
"""Region rules: boxes in mm, in the frame of the reference phase."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.transforms.mask_region import MaskRegiond
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.region import BoxRegiond, WholeVolumeRegiond
from scripts.volumes.grid import frame_axes


def opened(paths: dict, **more) -> dict:
    return LoadImagePhasesd(phases=list(paths))({"case": "p017", "image": paths, **more})


@pytest.fixture
def phase(save, smooth) -> dict:
    return {"pre": save("pre", smooth((20, 20, 20)), np.diag([1.0, 1.0, 2.0, 1.0]))}


def test_a_mask_reaches_to_the_outer_edges_of_its_voxels(phase, save) -> None:
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[3:6, 4:5, 7:9] = 1
    item = opened(phase, roi=save("roi", mask, np.diag([1.0, 1.0, 2.0, 1.0])))
    np.testing.assert_allclose(MaskRegiond()(item)["region"], [[2.5, 3.5, 13], [5.5, 4.5, 17]], atol=1e-5)
    np.testing.assert_allclose(MaskRegiond(margin=10)(item)["region"], [[-7.5, -6.5, 3], [15.5, 14.5, 27]], atol=1e-5)


def test_a_mask_has_its_own_grid(phase, save) -> None:
    """The same body stored on a flipped, permuted grid of another spacing gives the same region."""
    mask = np.zeros((30, 40, 50), dtype=np.uint8)
    mask[2:6, 10:18, 20:26] = 1
    turned = np.array([[0, 0, -0.5, 20], [0.5, 0, 0, 1], [0, 2, 0, -8], [0, 0, 0, 1]])
    item = opened(phase, roi=save("roi", mask, turned))
    corners = np.array([[1.5, 9.5, 19.5], [5.5, 17.5, 25.5]]) @ turned[:3, :3].T + turned[:3, 3]
    np.testing.assert_allclose(MaskRegiond()(item)["region"], np.sort(corners, axis=0), atol=1e-5)


def test_the_region_of_an_oblique_case_follows_its_axes(save, smooth, affines) -> None:
    oblique = affines["oblique"]
    mask = np.zeros((24, 24, 24), dtype=np.uint8)
    mask[5:9, 6:7, 10:20] = 1
    item = opened({"pre": save("pre", smooth((24, 24, 24)), oblique)}, roi=save("roi", mask, oblique))
    low, high = MaskRegiond()(item)["region"]
    np.testing.assert_allclose(high - low, [4 * 1.5, 1 * 1.2, 10 * 2.5], atol=1e-4)
    axes = frame_axes(oblique, (24, 24, 24))
    centre = axes @ (low + high) / 2
    np.testing.assert_allclose(centre, oblique[:3, :3] @ [6.5, 6, 14.5] + oblique[:3, 3], atol=1e-4)
    assert (np.diag(axes) > 0.8).all(), "the frame runs to the right, front and top"


def test_every_voxel_of_an_oblique_mask_is_within(phase, save) -> None:
    generator = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    matrix[:3, 3] = [5, 5, 5]
    mask = (generator.random((9, 8, 7)) > 0.97).astype(np.uint8)
    item = opened(phase, roi=save("roi", mask, matrix))
    low, high = MaskRegiond()(item)["region"]
    points = np.argwhere(mask) @ matrix[:3, :3].T + matrix[:3, 3]
    half = np.abs(matrix[:3, :3]).sum(axis=1) / 2
    np.testing.assert_allclose(low, points.min(axis=0) - half, atol=1e-5)
    np.testing.assert_allclose(high, points.max(axis=0) + half, atol=1e-5)


def test_labels_choose_among_mask_values(phase, save) -> None:
    mask = np.zeros((20, 20, 20), dtype=np.uint8)
    mask[2:18, 2:18, 2:18] = 1
    mask[5:7, 5:7, 5:7] = 2
    item = opened(phase, roi=save("roi", mask))
    np.testing.assert_allclose(MaskRegiond(labels=[2])(item)["region"], [[4.5] * 3, [6.5] * 3])
    with pytest.raises(ValueError, match=r"must have voxels valued \[3\], found none in .*roi.nii.gz"):
        MaskRegiond(labels=[3])(item)


def test_empty_and_missing_masks(phase, save) -> None:
    empty = opened(phase, roi=save("roi", np.zeros((4, 4, 4), dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"^case p017: the mask must have voxels above 0, found none in .*roi"):
        MaskRegiond()(empty)
    with pytest.raises(
        ValueError, match=r"^case p017: a region from a mask needs 'roi', found none, nor .* add the mask"
    ):
        MaskRegiond()(opened(phase))


def test_a_box_in_mm(phase) -> None:
    item = opened(phase, box=[[9, 1, 2], [3, 4, 8]])
    np.testing.assert_allclose(BoxRegiond(margin=1.0)(item)["region"], [[2, 0, 1], [10, 5, 9]])
    with pytest.raises(ValueError, match=r"^case p017: a region from a box needs 'box'"):
        BoxRegiond()(opened(phase))
    with pytest.raises(ValueError, match=r"^case p017: 'box' must be two corners .* differ on every axis"):
        BoxRegiond()(opened(phase, box=[[1, 1, 1], [2, 2, 1]]))


def test_a_case_without_a_mask_may_name_a_point_or_a_box(phase) -> None:
    point = MaskRegiond(margin=2.0)(opened(phase, point=[3.0, 4.0, 8.0]))["region"]
    np.testing.assert_allclose(point, [[-9, -8, -4], [15, 16, 20]])
    typed = BoxRegiond(margin=2.0)(opened(phase, point=" [3, 4.0; 8]"))["region"]
    np.testing.assert_array_equal(typed, point)
    small = BoxRegiond(margin=2.0)(opened(phase, point="3 4 8 6"))["region"]
    np.testing.assert_allclose(small, [[-2, -1, 3], [8, 9, 13]])
    typed = MaskRegiond()(opened(phase, box="(9 1 2) (3 4 8)", point=[0, 0, 0]))["region"]
    np.testing.assert_allclose(typed, [[3, 1, 2], [9, 4, 8]])
    with pytest.raises(ValueError, match=r"^case p017: 'point' must be \[x, y, z\] in mm .*, found 12 40"):
        MaskRegiond()(opened(phase, point="12 40"))
    with pytest.raises(ValueError, match=r"found 1 2 3 0; correct it"):
        MaskRegiond()(opened(phase, point="1 2 3 0"))
    with pytest.raises(ValueError, match="needs 'roi', found none"):
        MaskRegiond()(opened(phase, point=" ", box=""))


def test_the_whole_volume(phase) -> None:
    np.testing.assert_allclose(WholeVolumeRegiond()(opened(phase))["region"], [[-0.5, -0.5, -1], [19.5, 19.5, 39]])


def test_order_and_settings(phase) -> None:
    with pytest.raises(ValueError, match="put LoadImagePhasesd before it"):
        WholeVolumeRegiond()({"case": "p017", "image": phase})
    with pytest.raises(ValueError, match="0 mm or more, found -1"):
        MaskRegiond(margin=-1)
