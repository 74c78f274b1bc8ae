# SPDX-License-Identifier: Apache-2.0
"""Kernels and strides against the plans that nnU-Net's authors published for public datasets."""

from __future__ import annotations

import pytest
from scripts.networks.plan import divisors, plan_stages

FLAT, FULL = [1, 3, 3], [3, 3, 3]
PUBLISHED = {  # spacing, patch, kernels, strides after the first stage
    "hippocampus": ([1, 1, 1], [40, 56, 40], [FULL] * 4, [[2, 2, 2]] * 3),
    "brain tumour": ([1, 1, 1], [128, 128, 128], [FULL] * 6, [[2, 2, 2]] * 5),
    "prostate": (
        [3.6, 0.62, 0.62],
        [20, 320, 256],
        [FLAT, FLAT, *[FULL] * 5],
        [[1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]],
    ),
    "heart, cine": (
        [5.0, 1.56, 1.56],
        [20, 256, 224],
        [FLAT, *[FULL] * 5],
        [[1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]],
    ),
}
"""Supplementary note 6 of Isensee et al., Nature Methods 2021."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_plans_are_the_published_ones(name):
    spacing, patch, kernels, strides = PUBLISHED[name]
    assert plan_stages(spacing, patch, max_stages=7) == (kernels, [[1, 1, 1], *strides])


def test_a_single_slice_is_planned_as_its_plane_whatever_the_slice_is_thick():
    plane_kernels, plane_strides = plan_stages([1.0, 1.0], [128, 128])
    for thickness in (0.1, 1.0, 10.0):
        kernels, strides = plan_stages([1.0, 1.0, thickness], [128, 128, 1])
        assert [kernel[:2] for kernel in kernels] == plane_kernels
        assert [stride[:2] for stride in strides] == plane_strides
        assert all(kernel[2] == 1 for kernel in kernels)
        assert all(stride[2] == 1 for stride in strides)


@pytest.mark.parametrize(
    ("spacing", "patch"), [([1, 1, 1], [3, 5, 7]), ([1, 1, 9], [160, 160, 12]), ([1] * 3, [1] * 3)]
)
def test_four_voxels_are_left_of_every_axis_that_is_halved(spacing, patch):
    kernels, strides = plan_stages(spacing, patch, max_stages=9)
    assert len(kernels) == len(strides)
    for voxels, divisor in zip(patch, divisors(strides), strict=True):
        assert divisor == 1 or voxels / divisor >= 4


def test_stages_are_limited():
    assert plan_stages([1, 1, 1], [128] * 3, max_stages=2) == ([FULL] * 2, [[1, 1, 1], [2, 2, 2]])


MISTAKES = [([1, 1], [8, 8, 8], 6), ([1, 0, 1], [8] * 3, 6), ([1] * 3, [8, 0, 8], 6), ([1], [8], 0)]


@pytest.mark.parametrize(("spacing", "patch", "stages"), MISTAKES)
def test_what_cannot_be_planned_is_named(spacing, patch, stages):
    with pytest.raises(ValueError, match=r"spacing must hold mm above 0, patch_size .*found"):
        plan_stages(spacing, patch, stages)
