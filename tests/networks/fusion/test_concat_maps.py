# SPDX-License-Identifier: Apache-2.0
"""Maps of different sizes, brought onto one grid."""

from __future__ import annotations

import torch
from scripts.networks.fusion.base import align
from scripts.networks.fusion.maps import ConcatMaps
from torch.nn import functional


def test_small_maps_are_interpolated_to_the_finest_grid_of_each_axis():
    maps = [torch.rand(2, 3, 4, 2, 6), torch.rand(2, 3, 2, 5, 3)]
    found = align(maps, torch.ones(2, 2, dtype=torch.bool))
    for m, one in enumerate(maps):
        torch.testing.assert_close(found[:, m], functional.interpolate(one, size=(4, 5, 6), mode="trilinear"))


def test_it_equals_concatenation_and_a_convolution():
    torch.manual_seed(0)
    fusion, maps = ConcatMaps(num_maps=2, in_dim=3), [torch.rand(2, 3, 4, 4, 4), torch.rand(2, 3, 2, 2, 2)]
    larger = functional.interpolate(maps[1], size=(4, 4, 4), mode="trilinear")
    joined = torch.cat([maps[0], larger], dim=1)
    expected = functional.conv3d(joined, fusion.mix.weight, fusion.mix.bias, padding=1).relu()
    torch.testing.assert_close(fusion(maps, torch.ones(2, 2, dtype=torch.bool))[0], expected)


def test_a_ramp_keeps_its_middle_wherever_its_cells_lie():
    """Interpolation puts the centre of a coarse map on the centre of the fine one."""
    coarse = torch.arange(3.0).reshape(1, 1, 3, 1, 1)
    found = align([torch.zeros(1, 1, 9, 1, 1), coarse], torch.ones(1, 2, dtype=torch.bool))[0, 1].flatten()
    assert found[4] == 1.0
    torch.testing.assert_close(found + found.flip(0), torch.full((9,), 2.0))
