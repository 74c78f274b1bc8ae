# SPDX-License-Identifier: Apache-2.0
"""Every phase asks all others and never itself; queries and keys learn for every number of phases."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.attention import CrossAttention
from torch.nn import functional

C = 8


def strategy(num_tokens: int) -> tuple[CrossAttention, torch.Tensor]:
    torch.manual_seed(0)
    return CrossAttention(num_tokens, in_dim=C, num_heads=2), torch.randn(4, num_tokens, C)


@pytest.mark.parametrize("num_tokens", range(2, 9))
def test_every_query_and_key_of_every_head_learns(num_tokens):
    fusion, tokens = strategy(num_tokens)
    fused, _ = fusion(tokens, torch.ones(4, num_tokens, dtype=torch.bool))
    (fused * torch.randn_like(fused)).sum().backward()
    attention = fusion.block.attention
    typical = attention.value.weight.grad.norm()
    for projection in (attention.query.weight, attention.key.weight):
        for head in projection.grad.chunk(2):
            assert head.norm() > 0.01 * typical  # far above rounding


def test_every_phase_asks_each_other_phase_and_never_itself():
    fusion, tokens = strategy(4)
    attention = fusion(tokens, torch.ones(4, 4, dtype=torch.bool))[1]["attention"]
    itself = torch.eye(4, dtype=torch.bool)
    assert not attention[:, :, itself].any()
    assert (attention[:, :, ~itself] > 0).all()
    assert (attention.sum(dim=3) < 1).all()


def test_equals_that_of_torch(torch_attention):
    fusion, tokens = strategy(3)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=torch.bool)
    fused, aux = fusion(tokens, present)
    z = functional.layer_norm(tokens, [C]) + fusion.phase_embedding.embedding
    found, expected = torch_attention(fusion.block.attention)(
        z, z, z, attn_mask=torch.eye(3, dtype=torch.bool), key_padding_mask=~present, average_attn_weights=False
    )
    h = tokens + found
    _, first, _, _, second = fusion.block.feed_forward
    y = h + second(functional.gelu(first(functional.layer_norm(h, [C]))))
    fused = fused.reshape(4, 3, C)
    torch.testing.assert_close(fused[present], y[present], atol=1e-5, rtol=1e-5)
    assert not fused[~present].any()
    rows = present.unsqueeze(1).expand(4, 2, 3)
    torch.testing.assert_close(aux["attention"][rows], expected[..., :3][rows], atol=1e-5, rtol=1e-5)


def test_one_phase_passes_unchanged():
    fusion, tokens = strategy(1)
    assert torch.equal(fusion(tokens, torch.ones(4, 1, dtype=torch.bool))[0], tokens[:, 0])


def test_a_phase_acquired_alone_passes_unchanged():
    fusion, tokens = strategy(4)
    fused = fusion(tokens, torch.eye(4, dtype=torch.bool))[0].reshape(4, 4, C)
    for b in range(4):
        assert torch.equal(fused[b, b], tokens[b, b])
