# SPDX-License-Identifier: Apache-2.0
"""The joined paths against their formula; the product is that of the present phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.attention import FusedAttention
from torch.nn import functional

M, C = 3, 8
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)


def strategy() -> tuple[FusedAttention, torch.Tensor]:
    torch.manual_seed(0)
    return FusedAttention(num_tokens=M, in_dim=C, num_heads=2).eval(), torch.randn(3, M, C)


def products(fusion: FusedAttention, tokens: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The multiplicative path, as loops."""
    rows = []
    for b in range(len(tokens)):
        row = torch.ones(C)
        for m in range(M):
            if present[b, m]:
                row = row * (1 + fusion.factors[m].weight @ functional.layer_norm(tokens[b, m], [C]))
        rows.append(row)
    return torch.stack(rows)


def test_equals_the_formula():
    fusion, tokens = strategy()
    fused, aux = fusion(tokens, PRESENT)
    together, self_aux = fusion.self_attention(tokens, PRESENT)
    lacking, cross_aux = fusion.cross_attention(tokens, PRESENT)
    product = products(fusion, tokens, PRESENT)
    joined = torch.cat([functional.layer_norm(p, [p.shape[1]]) for p in (together, lacking, product)], dim=1)
    expected = torch.relu(joined @ fusion.join.weight.T + fusion.join.bias)
    torch.testing.assert_close(fused, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(aux["self_attention"], self_aux["attention"])
    assert torch.equal(aux["cross_attention"], cross_aux["attention"])


def test_all_three_paths_have_a_say_of_the_same_size():
    fusion, tokens = strategy()
    widths = [C, M * C, C]
    seen = []
    fusion.join.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    fusion(0.1 * tokens, PRESENT)
    for path in seen[0].split(widths, dim=1):
        torch.testing.assert_close(path.std(dim=1, unbiased=False), torch.ones(3), atol=0.1, rtol=0)
