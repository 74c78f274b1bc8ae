# SPDX-License-Identifier: Apache-2.0
"""Planes are cut across the axes that their names say, whatever the orientation of the grid."""

from __future__ import annotations

import pytest
import torch
from scripts.transforms.augment import AugmentBatch
from scripts.transforms.geometry import RandomGeometry
from scripts.transforms.views import GivenViews, SliceViews


def ramp(orientation: str) -> torch.Tensor:
    """A volume 8 x 8 x 8 with axes as named, of 100 R + 10 A + S, each counted in its direction."""
    axes = {}
    for axis, letter in enumerate(orientation):
        count = torch.arange(8.0).flip(0) if letter in "LPI" else torch.arange(8.0)
        shape = [1, 1, 1]
        shape[axis] = 8
        axes["RAS"["RLAPSI".index(letter) // 2]] = count.reshape(shape)
    return (100 * axes["R"] + 10 * axes["A"] + axes["S"])[None, None]


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "AIL"])
def test_a_view_is_cut_across_its_own_axis(orientation):
    axial, coronal, sagittal = SliceViews(["axial", "coronal", "sagittal"], 1, orientation)(ramp(orientation))
    right, front, up = (lambda v: v // 100), (lambda v: v % 100 // 10), (lambda v: v % 10)
    for planes, across, within in (
        (axial, up, (right, front)),
        (coronal, front, (right, up)),
        (sagittal, right, (front, up)),
    ):
        assert planes.shape == (1, 1, 1, 8, 8)
        assert across(planes).unique().numel() == 1
        assert all(axis(planes).unique().numel() == 8 for axis in within)


def test_slices_lie_about_the_centre_and_zero_is_all_of_them():
    volume = torch.arange(9.0).expand(1, 1, 5, 5, 9)
    for count, expected in ((1, [4]), (3, [3, 4, 5]), (0, list(range(9))), (20, list(range(9)))):
        planes = SliceViews(["axial"], count)(volume)[0]
        assert planes[0, 0, :, 2, 2].tolist() == expected


def test_planes_of_a_box_are_padded_to_one_size_about_their_middle():
    axial, coronal = SliceViews(["axial", "coronal"], 1)(torch.ones(1, 1, 6, 8, 4))
    assert axial.shape == coronal.shape == (1, 1, 1, 6, 8)
    assert axial.all()
    assert torch.equal(coronal[0, 0, 0].sum(dim=0), torch.tensor([0.0, 0, 6, 6, 6, 6, 0, 0]))


def test_one_spatial_draw_moves_all_views_of_all_phases():
    """What the views show where they cross is the same voxels, before and after the volume is moved."""
    torch.manual_seed(0)
    volume = torch.rand(2, 1, 9, 9, 9).expand(2, 3, 9, 9, 9)
    geometry = RandomGeometry(flip=(0.5,) * 3, rotate=25.0, scale=0.2, translate=1.0)
    moved = AugmentBatch([geometry])(volume, torch.ones(2, 3, dtype=torch.bool))
    assert not torch.allclose(moved, volume)
    axial, coronal, sagittal = SliceViews(["axial", "coronal", "sagittal"], 1)(moved)
    torch.testing.assert_close(axial[:, :, 0, :, 4], coronal[:, :, 0, :, 4])  # the line along R
    torch.testing.assert_close(axial[:, :, 0, 4, :], sagittal[:, :, 0, :, 4])  # along A
    torch.testing.assert_close(coronal[:, :, 0, 4, :], sagittal[:, :, 0, 4, :])  # along S
    torch.testing.assert_close(axial[:, 0], axial[:, 2])


def test_images_are_parted_phases_first_views_inside():
    image = torch.arange(6.0).reshape(1, 6, 1, 1, 1).expand(1, 6, 1, 8, 8)
    first, second, third = GivenViews(["axial", "coronal", "sagittal"])(image)
    assert [one[0, :, 0, 0, 0].tolist() for one in (first, second, third)] == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SliceViews(["axal"]), r"views must be among .*nearest: 'axial'.*found 'axal'"),
        (lambda: SliceViews(["axial", "axial"]), "'axial' twice"),
        (lambda: SliceViews(["axial"], slices=-1), "slices must be 0 .all. or a number .* found -1"),
        (lambda: SliceViews(["axial"], orientation="RAA"), "three axes, such as RAS, found 'RAA'"),
        (lambda: SliceViews(["axial"], orientation=0), "three axes, such as RAS, found '0'"),
        (lambda: GivenViews(["axial", "volume"]), "images need views among axial, coronal, sagittal"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
