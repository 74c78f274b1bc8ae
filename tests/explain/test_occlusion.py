# SPDX-License-Identifier: Apache-2.0
"""Occlusion of one phase at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from workbench.explain.occlusion import Occlusion

ALL = torch.tensor([True, True, True])


class OneVoxel(nn.Module):
    """The log odds of class 1 are the value of one voxel of the arterial phase."""

    where = (1, 2, 3, 4)

    def forward(self, image: Tensor, clinical: Tensor | None = None, present: Tensor | None = None) -> Tensor:
        p, d, h, w = self.where
        odds = image[:, p, d, h, w]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.fixture
def scan() -> tuple[Tensor, Tensor]:
    """A case of 6 x 6 x 6 voxels, whose first plane is padding in every phase."""
    image = torch.rand(3, 6, 6, 6, generator=torch.Generator().manual_seed(0)) + 1
    inside = torch.ones(3, 6, 6, 6, dtype=torch.bool)
    inside[:, 0] = False
    image[~inside] = 0
    return image, inside


def test_covering_single_voxels_gives_the_drop_of_each(scan):
    image, inside = scan
    heat = Occlusion(window=2.0, spacing=(2.0, 2.0, 2.0), overlap=0.0)(OneVoxel(), image, ALL, inside, 1)
    expected = torch.zeros_like(image)
    covered = image[1][inside[1]].mean()
    expected[OneVoxel.where] = image[OneVoxel.where].sigmoid() - covered.sigmoid()
    torch.testing.assert_close(heat, expected, rtol=0, atol=1e-6)


def test_a_window_is_measured_in_mm_and_covers_its_neighbours(scan):
    """6 mm are 3 voxels of 2 mm and one of 4 mm; the drop belongs to every voxel of the window."""
    image, inside = scan
    inside[:, 3:] = False  # planes 1 and 2 remain; windows of 1 x 3 x 3 voxels
    heat = Occlusion(window=6.0, spacing=(6.0, 2.0, 2.0), overlap=0.0)(OneVoxel(), image, ALL, inside, 1)
    drop = heat[1, 2, 3, 4]
    assert drop != 0
    assert (heat[1, 2, 3:, 3:] == drop).all()
    assert int((heat != 0).sum()) == 9


def test_the_other_class_has_the_opposite_heat(scan):
    image, inside = scan
    occlusion = Occlusion(window=2.0, overlap=0.5)
    for_, against = (occlusion(OneVoxel(), image, ALL, inside, k) for k in (1, 0))
    torch.testing.assert_close(for_, -against, rtol=0, atol=1e-6)


def test_padding_and_absent_phases_have_no_heat_and_are_never_covered(scan):
    image, inside = scan
    seen: list[Tensor] = []

    class Watcher(OneVoxel):
        def forward(self, image: Tensor, clinical=None, present=None) -> Tensor:  # type: ignore[override]
            seen.append(image.detach().clone())
            return super().forward(image)

    present = torch.tensor([True, True, False])
    heat = Occlusion(window=3.0)(Watcher(), image, present, inside, 1)
    batch = torch.cat(seen)
    assert not heat[~inside].any()
    assert not heat[2].any()
    assert not batch[:, ~inside].any()
    assert (batch[:, 2] == image[2]).all()
    assert (batch[:, 0] != image[0]).any()


def test_a_window_larger_than_what_is_shown_covers_all_of_it(scan):
    image, inside = scan
    heat = Occlusion(window=100.0)(OneVoxel(), image, ALL, inside, 1)
    assert (heat[1][inside[1]] == heat[1, 2, 3, 4]).all()


def test_the_network_is_left_as_it_was(scan, network):
    image, inside = scan
    net = network("concat")
    Occlusion(window=3.0)(net, image, ALL, inside, 1)
    assert not net.training


@pytest.mark.parametrize(("wrong", "message"), [({"window": 0.0}, "above 0 mm"), ({"overlap": 1.0}, "lie in")])
def test_impossible_windows_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Occlusion(**wrong)
