# SPDX-License-Identifier: Apache-2.0
"""Gated fusion: initial weights mean what they say, and the formula once gates have moved."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.tokens import Gated

C = 4


@pytest.mark.parametrize("given", [[0.3, 0.7], [3, 7], [0.03, 0.07]])
def test_initial_weights_mean_what_they_say(given):
    torch.manual_seed(0)
    fusion = Gated(num_tokens=2, in_dim=C, initial_weights=given)
    weights = torch.tensor([0.3, 0.7])
    torch.testing.assert_close(fusion.get_phase_weights(), weights)
    tokens, present = 100 * torch.randn(5, 2, C), torch.ones(5, 2, dtype=torch.bool)
    fused, aux = fusion(tokens, present)
    torch.testing.assert_close(aux["weights"], weights.expand(5, 2))
    assert (aux["gates"] == 0.5).all()
    said = [torch.tanh(fusion.projections[m](tokens[:, m])) for m in range(2)]
    torch.testing.assert_close(fused, 0.3 * said[0] + 0.7 * said[1])


def test_initial_weights_are_renormalised_over_the_present_phases():
    fusion = Gated(num_tokens=3, in_dim=C, initial_weights=[0.2, 0.5, 0.3])
    present = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=torch.bool)
    weights = fusion(torch.randn(3, 3, C), present)[1]["weights"]
    expected = torch.tensor([[2 / 7, 5 / 7, 0], [0.4, 0, 0.6], [0, 0, 1]])
    torch.testing.assert_close(weights, expected)


def test_without_initial_weights_all_are_equal():
    torch.testing.assert_close(Gated(4, C).get_phase_weights(), torch.full((4,), 0.25))


def test_equals_the_formula_after_learning():
    torch.manual_seed(0)
    fusion = Gated(num_tokens=3, in_dim=C, initial_weights=[0.2, 0.5, 0.3])
    torch.nn.init.normal_(fusion.gate.weight)
    torch.nn.init.normal_(fusion.log_weights)
    f = torch.randn(2, 3, C)
    present = torch.tensor([[True, True, True], [True, False, True]])
    fused, aux = fusion(f, present)
    for b in range(2):
        known = [f[b, m] if present[b, m] else torch.zeros(C) for m in range(3)]
        gates = [torch.sigmoid(fusion.gate.weight[m] @ torch.cat(known)) * present[b, m] for m in range(3)]
        opened = [fusion.get_phase_weights()[m] * gates[m] for m in range(3)]
        weights = torch.stack([share / sum(opened) for share in opened])
        torch.testing.assert_close(aux["gates"][b], torch.stack(gates))
        torch.testing.assert_close(aux["weights"][b], weights)
        said = [torch.tanh(fusion.projections[m](known[m])) for m in range(3)]
        torch.testing.assert_close(fused[b], sum(weights[m] * said[m] for m in range(3)))


def test_closed_gates_do_not_divide_by_zero():
    fusion = Gated(num_tokens=2, in_dim=C, initial_weights=[0.3, 0.7])
    torch.nn.init.constant_(fusion.gate.weight, -50.0)  # sigmoid(-200) is 0 in float32
    weights = fusion(torch.ones(1, 2, C), torch.ones(1, 2, dtype=torch.bool))[1]["weights"]
    torch.testing.assert_close(weights, torch.tensor([[0.3, 0.7]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrong", [[0.3], [0.3, 0.7, 0.1], [0.0, 1.0], [-1.0, 2.0], [float("nan"), 1.0]])
def test_wrong_initial_weights_are_named(wrong):
    with pytest.raises(ValueError, match="initial_weights must be 2 positive numbers, one per token: each phase"):
        Gated(num_tokens=2, in_dim=C, initial_weights=wrong)
