# SPDX-License-Identifier: Apache-2.0
"""Low-rank fusion against the full weight tensor, rebuilt from its factors."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.products import LowRankTensor
from torch.nn import functional

C, F, RANK = 4, 5, 3


def test_equals_the_full_tensor():
    torch.manual_seed(0)
    fusion = LowRankTensor(num_tokens=3, in_dim=C, rank=RANK, hidden=F)
    torch.nn.init.normal_(fusion.rank_weights)
    torch.nn.init.normal_(fusion.bias)
    f = torch.randn(3, 3, C)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.bool)
    fused, _ = fusion(f, present)

    full = torch.zeros(F, C + 1, C + 1, C + 1)
    for i in range(RANK):
        first, second, third = (fusion.factors[RANK * m + i] for m in range(3))  # [C + 1, F] each
        full = full + fusion.rank_weights[i] * torch.einsum("ak,bk,ck->kabc", first, second, third)
    for b in range(3):
        z = []
        for m in range(3):
            feature = functional.layer_norm(f[b, m], [C]) if present[b, m] else torch.zeros(C)
            z.append(torch.cat([feature, torch.ones(1)]))
        expected = torch.einsum("kabc,a,b,c->k", full, *z) + fusion.bias
        torch.testing.assert_close(fused[b], expected)


@pytest.mark.parametrize("num_tokens", range(1, 9))
def test_neither_explodes_nor_vanishes(num_tokens):
    torch.manual_seed(0)
    fusion = LowRankTensor(num_tokens=num_tokens, in_dim=128)
    for scale in (0.01, 1.0, 100.0):
        tokens = scale * torch.randn(16, num_tokens, 128)
        everything = fusion(tokens, torch.ones(16, num_tokens, dtype=torch.bool))[0]
        assert 1 < everything.square().mean().sqrt() < 2.5
        nothing = fusion(tokens, torch.zeros(16, num_tokens, dtype=torch.bool))[0]
        assert 0.7 < nothing.square().mean().sqrt() < 1.3
