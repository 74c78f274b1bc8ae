# SPDX-License-Identifier: Apache-2.0
"""A learned mixture at every place."""

from __future__ import annotations

import torch
from scripts.networks.fusion.maps import AdaptiveConv
from scripts.networks.fusion.tokens import Concat


def test_equals_its_formula_with_flags_of_the_present_phases():
    torch.manual_seed(0)
    fusion, maps = AdaptiveConv(num_maps=2, in_dim=4), torch.rand(2, 3, 4, 5, 3, 2)
    present = torch.tensor([[1, 1], [1, 0], [0, 1]], dtype=torch.bool)
    weight, bias = fusion.mix.weight[:, :, 0, 0, 0], fusion.mix.bias
    joined = torch.cat([m * present[:, i, None, None, None, None] for i, m in enumerate(maps)], dim=1)
    linear = torch.einsum("fc,ncdhw->nfdhw", weight, joined) + bias[:, None, None, None]
    flags = present.float() @ fusion.flags.weight.T
    fused, _ = fusion(list(maps), present)
    torch.testing.assert_close(fused, (linear + flags[..., None, None, None]).relu())


def test_on_one_cell_it_is_concat():
    torch.manual_seed(0)
    fusion, concat = AdaptiveConv(num_maps=3, in_dim=4), Concat(num_tokens=3, in_dim=4)
    with torch.no_grad():
        concat.mix.weight.copy_(torch.cat([fusion.mix.weight[:, :, 0, 0, 0], fusion.flags.weight], dim=1))
        concat.mix.bias.copy_(fusion.mix.bias)
    tokens = torch.randn(5, 3, 4)
    present = torch.rand(5, 3) < 0.7
    maps = [tokens[:, m, :, None, None, None] for m in range(3)]
    torch.testing.assert_close(fusion(maps, present)[0].flatten(1), concat(tokens, present)[0])


def test_what_coincides_at_a_place_is_told_from_what_shows_anywhere():
    """Both have the same averages over space, so that every fusion of tokens would see the same."""
    torch.manual_seed(0)
    fusion = AdaptiveConv(num_maps=2, in_dim=1, out_dim=8)
    together = torch.zeros(2, 1, 1, 2, 1, 1)
    together[:, :, :, 0] = 1.0
    apart = together.clone()
    apart[1] = apart[1].flip(2)
    there = torch.ones(1, 2, dtype=torch.bool)
    found = [fusion(list(maps), there)[0].mean(dim=(2, 3, 4)) for maps in (together, apart)]
    assert (found[0] - found[1]).abs().max() > 1e-3
