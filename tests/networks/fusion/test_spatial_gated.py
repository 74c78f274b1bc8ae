# SPDX-License-Identifier: Apache-2.0
"""Another phase may lead at every place."""

from __future__ import annotations

import torch
from scripts.networks.fusion.maps import SpatialGated


def test_the_present_phases_share_out_every_place():
    torch.manual_seed(0)
    fusion, maps = SpatialGated(num_maps=3, in_dim=4), torch.rand(3, 2, 4, 5, 3, 2)
    present = torch.tensor([[1, 1, 1], [1, 0, 1]], dtype=torch.bool)
    fused, aux = fusion(list(maps), present)
    gates = aux["gates"]
    torch.testing.assert_close(gates.sum(dim=1), torch.ones(2, 5, 3, 2))
    assert not gates[1, 1].any()
    assert gates.std(dim=(2, 3, 4))[present].min() > 0  # not one number per phase
    torch.testing.assert_close(aux["weights"], gates.mean(dim=(2, 3, 4)))
    said = [
        torch.einsum("fc,ncdhw->nfdhw", w[:, :, 0, 0, 0], m) + b[:, None, None, None]
        for w, b, m in zip(fusion.layers.weight.chunk(3), fusion.layers.bias.chunk(3), maps, strict=True)
    ]
    expected = sum(gates[:, m, None] * said[m].relu() for m in range(3))
    torch.testing.assert_close(fused, expected)


def test_the_phase_that_shows_something_leads_where_it_shows_it():
    fusion = SpatialGated(num_maps=2, in_dim=1)
    with torch.no_grad():
        fusion.gate.weight.copy_(100 * torch.eye(2)[:, :, None, None, None])
        fusion.gate.bias.zero_()
        fusion.layers.weight.fill_(1.0)
        fusion.layers.bias.zero_()
    left, right = torch.zeros(1, 1, 4, 1, 1), torch.zeros(1, 1, 4, 1, 1)
    left[:, :, :2], right[:, :, 2:] = 1.0, 2.0
    fused, aux = fusion([left, right], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(fused.flatten(), torch.tensor([1.0, 1.0, 2.0, 2.0]))
    torch.testing.assert_close(aux["weights"], torch.tensor([[0.5, 0.5]]))
