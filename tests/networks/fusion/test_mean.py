# SPDX-License-Identifier: Apache-2.0
"""The mean against a loop."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import Mean

PRESENT = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)


def test_is_the_mean_of_what_the_layer_of_each_present_phase_says():
    torch.manual_seed(0)
    fusion, tokens = Mean(num_tokens=4, in_dim=3), torch.randn(3, 4, 3)
    fused = fusion(tokens, PRESENT)[0]
    for b in range(3):
        said = [
            (layer[0].weight @ tokens[b, m] + layer[0].bias).clamp_min(0)
            for m, layer in enumerate(fusion.layers)
            if PRESENT[b, m]
        ]
        torch.testing.assert_close(fused[b], sum(said) / len(said))


def test_it_knows_which_phase_a_token_comes_from():
    torch.manual_seed(0)
    fusion, tokens = Mean(num_tokens=2, in_dim=8), torch.randn(1, 2, 8)
    both = torch.tensor([[True, True]])
    assert not torch.allclose(fusion(tokens, both)[0], fusion(tokens.flip(1), both)[0])


def test_without_layers_it_is_the_mean_of_the_present_tokens_in_any_order():
    torch.manual_seed(0)
    fusion, tokens = Mean(num_tokens=4, in_dim=3, phase_layers=False), torch.randn(3, 4, 3)
    fused = fusion(tokens, PRESENT)[0]
    for b in range(3):
        expected = sum(tokens[b, m] for m in range(4) if PRESENT[b, m]) / int(PRESENT[b].sum())
        torch.testing.assert_close(fused[b], expected)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(fusion(tokens[:, order], PRESENT[:, order])[0], fused)
    assert not list(fusion.parameters())


def test_a_case_without_tokens_gives_zeros():
    assert not Mean(2, 3)(torch.randn(1, 2, 3), torch.tensor([[False, False]]))[0].any()
