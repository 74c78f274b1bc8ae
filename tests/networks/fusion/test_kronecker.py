# SPDX-License-Identifier: Apache-2.0
"""The Kronecker product against torch.kron."""

from __future__ import annotations

import functools

import pytest
import torch
from scripts.networks.fusion.products import Kronecker
from torch import Tensor

C, R = 5, 2


def factors(fusion: Kronecker, f: Tensor) -> list[Tensor]:
    """Return [1; z_m] of one case f [M, C]."""
    z = [torch.tanh(p.weight @ f[m] + p.bias) / R**0.5 for m, p in enumerate(fusion.project)]
    return [torch.cat([torch.ones(1), z_m]) for z_m in z]


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 5])
def test_equals_the_outer_product(num_tokens):
    torch.manual_seed(0)
    fusion = Kronecker(num_tokens=num_tokens, in_dim=C, width=R)
    f = torch.randn(1, num_tokens, C)
    product = functools.reduce(torch.kron, factors(fusion, f[0]))
    assert len(product) == (R + 1) ** num_tokens
    expected = torch.relu(fusion.mix.weight @ product + fusion.mix.bias)
    torch.testing.assert_close(fusion(f, torch.ones(1, num_tokens, dtype=torch.bool))[0][0], expected)


def test_without_a_phase_the_product_over_the_others_remains():
    torch.manual_seed(0)
    fusion = Kronecker(num_tokens=3, in_dim=C, width=R)
    f = torch.randn(1, 3, C)
    first, _, third = factors(fusion, f[0])
    weight = fusion.mix.weight.reshape(-1, R + 1, R + 1, R + 1)[:, :, 0, :]  # entries with the 1 of phase 2
    expected = torch.einsum("kac,a,c->k", weight, first, third) + fusion.mix.bias
    found = fusion(f, torch.tensor([[True, False, True]]))[0][0]
    torch.testing.assert_close(found, expected.relu())


def test_the_norm_of_the_product_is_bounded_for_eight_phases():
    torch.manual_seed(0)
    fusion = Kronecker(num_tokens=8, in_dim=128)
    for scale in (0.1, 1.0, 100.0):
        fused = fusion(scale * torch.randn(8, 8, 128), torch.ones(8, 8, dtype=torch.bool))[0]
        assert 0.3 < fused.square().mean().sqrt() < 2**4  # relu halves the mean square; at most 2^(8 / 2)


def test_too_large_a_product_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"found M = 8 phases of width r = 4: 390625; .*at most 3.*compact"):
        Kronecker(num_tokens=8, in_dim=C, width=4)
    with pytest.raises(ValueError, match=r"found M = 20 phases .*; use the strategy kronecker_compact"):
        Kronecker(num_tokens=20, in_dim=C)
