# SPDX-License-Identifier: Apache-2.0
"""Each channel meets the same channel of the other phases, at the cost of few weights."""

from __future__ import annotations

import torch
from scripts.networks.fusion.maps import ConcatMaps, Depthwise

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_a_channel_reads_its_own_channel_of_every_phase_and_no_other():
    torch.manual_seed(0)
    fusion, maps = (Depthwise(num_maps=3, in_dim=4), [torch.rand(1, 4, 3, 3, 3).requires_grad_() for _ in range(3)])
    seen = []
    fusion.across.register_forward_hook(lambda _, __, out: seen.append(out))
    fusion(maps, ALL)
    for gradient in torch.autograd.grad(seen[0][:, 2].sum(), maps):
        by_channel = gradient.abs().sum(dim=(0, 2, 3, 4))
        assert by_channel[2] > 0
        assert not by_channel[[0, 1, 3]].any()


def test_it_is_a_full_convolution_whose_other_weights_are_zero():
    torch.manual_seed(0)
    fusion, maps = Depthwise(num_maps=3, in_dim=4), [torch.rand(1, 4, 3, 3, 3) for _ in range(3)]
    full = ConcatMaps(num_maps=3, in_dim=4)
    with torch.no_grad():
        full.mix.weight.zero_()
        full.mix.bias.copy_(fusion.across.bias)
        for c in range(4):
            for m in range(3):
                full.mix.weight[c, 4 * m + c] = fusion.across.weight[c, m]
    torch.testing.assert_close(fusion(maps, ALL)[0], fusion.mix(full(maps, ALL)[0]).relu())


def test_it_has_few_weights():
    light, full = Depthwise(num_maps=3, in_dim=128), ConcatMaps(num_maps=3, in_dim=128)
    assert 40 * sum(p.numel() for p in light.parameters()) < sum(p.numel() for p in full.parameters())
