# SPDX-License-Identifier: Apache-2.0
"""Channel attention by averages and maxima, then attention over places."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.maps import Cbam
from torch.nn import functional

ALL = torch.ones(3, 2, dtype=torch.bool)


def strategy() -> tuple[Cbam, torch.Tensor]:
    torch.manual_seed(0)
    return Cbam(num_maps=2, in_dim=8), torch.rand(2, 3, 8, 4, 5, 3)


def test_equals_its_formula():
    fusion, maps = strategy()
    joined = torch.cat(list(maps), dim=1)
    first, _, second = fusion.channels
    hidden = first(joined.mean(dim=(2, 3, 4))).relu(), first(joined.amax(dim=(2, 3, 4))).relu()
    excited = joined * (second(hidden[0]) + second(hidden[1])).sigmoid()[..., None, None, None]
    planes = torch.stack([excited.mean(dim=1), excited.amax(dim=1)], dim=1)
    places = functional.conv3d(planes, fusion.place.weight, fusion.place.bias, padding=1).sigmoid()
    expected = functional.conv3d(places * excited, fusion.mix.weight, fusion.mix.bias).relu()
    fused, aux = fusion(list(maps), ALL)
    torch.testing.assert_close(aux["places"], places)
    torch.testing.assert_close(fused, expected)


def test_a_small_bright_spot_is_told_from_the_same_amount_spread_out():
    """The averages are equal, so that squeeze and excitation alone would weigh both alike."""
    fusion, maps = strategy()
    spread, spot = maps.clone(), maps.clone()
    spread[0, :, 0] = 1 / 60
    spot[0, :, 0] = 0.0
    spot[0, :, 0, 2, 2, 1] = 1.0

    def excitation(given: torch.Tensor) -> torch.Tensor:
        joined = torch.cat(list(given), dim=1)
        return (fusion.channels(joined.mean(dim=(2, 3, 4))) + fusion.channels(joined.amax(dim=(2, 3, 4)))).sigmoid()

    torch.testing.assert_close(spread.mean(dim=(3, 4, 5)), spot.mean(dim=(3, 4, 5)))
    assert (excitation(spread) - excitation(spot)).abs().max() > 1e-3


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel must be an odd number of cells, found 4"):
        Cbam(num_maps=2, in_dim=8, kernel=4)
