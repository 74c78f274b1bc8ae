# SPDX-License-Identifier: Apache-2.0
"""A region with the contour of a mask: what lies farther away than the margin is 0."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from scripts.transforms.mask_region import Contour, ContourRegiond, MaskRegiond
from scripts.transforms.phases import LoadImagePhasesd
from scripts.transforms.resample import ResamplePhasesd


@pytest.fixture
def case(save) -> dict:
    """Two phases on different grids, and a mask of two labels on a third that is turned and finer."""
    generator = np.random.default_rng(0)
    pre = save("pre", generator.uniform(1, 2, (24, 24, 12)).astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0]))
    portal = save("portal", generator.uniform(1, 2, (12, 12, 12)).astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    mask = np.zeros((24, 48, 48), dtype=np.uint8)  # axes S, A, L
    mask[10:20, 14:30, 20:36] = 1
    mask[14:20, 20:30, 20:30] = 0
    mask[10:14, 14:26, 20:24] = 2
    mask[10:12, 14:20, 20:24] = 1
    turned = np.array([[0, 0, -0.5, 23], [0, 0.5, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    paths = {"pre": pre, "portal": portal}
    roi = save("roi", mask, turned)
    return LoadImagePhasesd(phases=["pre", "portal"])({"case": "p017", "image": paths, "roi": roi})


def on_grid(case: dict, rule) -> dict:
    return ResamplePhasesd(spacing=(1.0, 1.0, 1.0), size=(28, 28, 24))(rule(case))


def distance_to_voxels(mask: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance of points, [N, 3] in mm, to the nearest voxel as a body: every voxel is compared."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    turn = affine[:3, :3] / spacing
    points, centres = (points - affine[:3, 3]) @ turn, np.argwhere(mask) * spacing
    apart = np.abs(points[:, None] - centres[None]) - spacing / 2
    return np.linalg.norm(np.maximum(apart, 0), axis=-1).min(axis=1)


def grid_points(grid: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere(np.ones(size)) @ grid[:3, :3].T + grid[:3, 3]


@pytest.mark.parametrize(
    ("margin", "labels"),
    [
        pytest.param(0.0, None, marks=pytest.mark.slow),
        pytest.param(2.5, None, marks=pytest.mark.slow),
        (2.5, [2]),
        pytest.param(7.0, None, marks=pytest.mark.slow),
    ],
)
def test_what_is_kept_is_the_mask_and_what_is_near_in_every_phase(case, margin, labels) -> None:
    kept = on_grid(case, ContourRegiond(margin=margin, labels=labels))
    box = on_grid(case, MaskRegiond(margin=margin, labels=labels))
    np.testing.assert_array_equal(kept["grid_affine"], box["grid_affine"])
    mask = case["roi"]
    voxels = mask.read() > 0 if labels is None else np.isin(mask.read(), labels)
    far = distance_to_voxels(voxels, mask.affine, grid_points(kept["grid_affine"].numpy(), (28, 28, 24)))
    far = far.reshape(28, 28, 24)
    clear = np.abs(far - margin) > 0.01
    for phase in ("pre", "portal"):
        inside = kept["inside"][phase].numpy()
        assert inside.any()
        expected = (far <= margin) & box["inside"][phase].numpy()
        np.testing.assert_array_equal(inside[clear], expected[clear])
        expected = np.where(inside, box["image"][phase].numpy(), 0)
        np.testing.assert_array_equal(kept["image"][phase].numpy(), expected)
        assert (kept["image"][phase].numpy() != 0).sum() < (box["image"][phase].numpy() != 0).sum()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (2.0, 0.5, 1.0)])
@pytest.mark.parametrize("turned", [0.0, 0.4])
def test_the_margin_is_the_distance_to_the_mask_in_mm(spacing, turned) -> None:
    generator = np.random.default_rng(0)
    cos, sin = np.cos(turned), np.sin(turned)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) * spacing
    grid = np.diag([1.6, 1.7, 1.9, 1.0])
    grid[:3, 3] = [-9.3, -7.1, -8.4]
    for margin in (0.4, 3.0, 6.0):
        voxels = generator.random((10, 9, 6)) > 0.95
        far = distance_to_voxels(voxels, affine, grid_points(grid, (18, 17, 16)))
        found = Contour(voxels, affine, margin).covers(grid, (18, 17, 16)).ravel()
        clear = np.abs(far - margin) > 0.01
        assert found.any()
        np.testing.assert_array_equal(found[clear], (far <= margin)[clear])


def test_it_agrees_with_the_distance_map_of_simpleitk_on_a_fine_grid() -> None:
    """Its distances run from voxel centres; at 0.25 mm these are at most 0.22 mm from the edges."""
    voxels = np.zeros((12, 10, 6), dtype=bool)
    voxels[4:7, 3:6, 2:4] = voxels[7, 5, 4] = True
    fine = np.kron(voxels, np.ones((4, 4, 8), dtype=np.uint8))
    fine = np.pad(fine, 16)
    image = SimpleITK.GetImageFromArray(fine)
    image.SetSpacing((0.25, 0.25, 0.25))
    far = SimpleITK.GetArrayFromImage(SimpleITK.SignedMaurerDistanceMap(image, False, False, True))
    grid = np.diag([0.25, 0.25, 0.25, 1.0])
    grid[:3, 3] = [-0.375 - 4, -0.375 - 4, -0.875 - 4]
    found = Contour(voxels, np.diag([1.0, 1.0, 2.0, 1.0]), 3.0).covers(grid, fine.shape)
    clear = np.abs(far - 3.0) > 0.25
    np.testing.assert_array_equal(found[clear], (far <= 3.0)[clear])


def test_a_lesion_smaller_than_the_grid_works_wherever_it_lies(save) -> None:
    """1 x 1 x 2 mm, on a grid of 4 mm, in 40 places: every point within 10 mm is kept, none beyond."""
    generator = np.random.default_rng(1)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    image = save("image", generator.uniform(1, 2, (48, 48, 24)).astype(np.float32), affine)
    for _ in range(40):
        mask = np.zeros((48, 48, 24), dtype=np.uint8)
        mask[tuple(generator.integers(14, [34, 34, 12 + 5]))] = 1
        roi = save("roi", mask, affine)
        item = LoadImagePhasesd(phases=["pre"])({"case": "p", "image": {"pre": image}, "roi": roi})
        item = ResamplePhasesd(spacing=(4.0, 4.0, 4.0), size=(8, 8, 8))(ContourRegiond(margin=10.0)(item))
        far = distance_to_voxels(mask, affine, grid_points(item["grid_affine"].numpy(), (8, 8, 8)))
        clear = np.abs(far - 10.0) > 0.01
        np.testing.assert_array_equal(item["inside"]["pre"].numpy().ravel()[clear], (far <= 10.0)[clear])


def test_models_of_before_can_keep_their_margin(case) -> None:
    """From the points of the grid, up to a voxel less is kept, never more."""
    former = on_grid(case, ContourRegiond(margin=2.5, measured_from="grid"))["inside"]["pre"].numpy()
    now = on_grid(case, ContourRegiond(margin=2.5))["inside"]["pre"].numpy()
    assert now[former].all()
    assert now.sum() > former.sum()
    with pytest.raises(ValueError, match=r"`measured_from` must be one of \[mask, grid\].*found 'voxels'"):
        ContourRegiond(measured_from="voxels")


def test_a_mask_between_the_points_of_the_grid_without_a_margin(save) -> None:
    image = save("image", np.random.default_rng(0).uniform(1, 2, (16, 16, 16)).astype(np.float32), np.eye(4))
    mask = np.zeros((16, 16, 16), dtype=np.uint8)
    mask[5, 5, 5] = 1
    item = {"case": "p", "image": {"pre": image}, "roi": save("roi", mask, np.eye(4))}
    item = LoadImagePhasesd(phases=["pre"])(item)
    with pytest.raises(ValueError, match=r"^case p: the mask with its margin of 0 mm must hold a point"):
        ResamplePhasesd(spacing=(4.0, 4.0, 4.0), size=(4, 4, 4))(ContourRegiond()(item))


def test_a_box_or_a_point_is_no_contour(case) -> None:
    with pytest.raises(ValueError, match=r"^case p017: a region with the contour of a mask needs 'roi'"):
        ContourRegiond()(case | {"roi": None, "point": [3, 4, 8]})
