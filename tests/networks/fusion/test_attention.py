# SPDX-License-Identifier: Apache-2.0
"""The class token against PyTorch's attention; phases are told apart; heads are kept apart."""

from __future__ import annotations

import torch
from scripts.networks.fusion.attention import Attention
from torch.nn import functional

M, C = 3, 8
PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)


def strategy() -> tuple[Attention, torch.Tensor]:
    torch.manual_seed(0)
    return Attention(num_tokens=M, in_dim=C, num_heads=2).eval(), torch.randn(3, M, C)


def test_equals_that_of_torch(torch_attention):
    fusion, tokens = strategy()
    fused, aux = fusion(tokens, PRESENT)
    z = functional.layer_norm(tokens, [C]) + fusion.phase_embedding.embedding
    c = fusion.class_token.expand(3, 1, C)
    found, attention = torch_attention(fusion.block.attention)(
        functional.layer_norm(c, [C]), z, z, key_padding_mask=~PRESENT, average_attn_weights=False
    )
    _, first, _, _, second = fusion.block.feed_forward
    h = c + found
    expected = h + second(functional.gelu(first(functional.layer_norm(h, [C]))))
    torch.testing.assert_close(fused, expected[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(aux["attention"], attention[:, :, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(aux["weights"], attention.mean(dim=1)[:, 0], atol=1e-5, rtol=1e-5)


def test_heads_differ_and_are_reported_apart():
    fusion, tokens = strategy()
    attention = fusion(tokens, PRESENT)[1]["attention"]
    assert attention.shape == (3, 2, M)
    assert not torch.allclose(attention[0, 0], attention[0, 1], atol=1e-3)


def test_knows_the_phases_by_their_embedding_alone():
    fusion, tokens = strategy()
    everything, swapped = torch.ones(3, M, dtype=torch.bool), [1, 0, 2]
    fused = fusion(tokens, everything)[0]
    assert not torch.allclose(fusion(tokens[:, swapped], everything)[0], fused, atol=1e-3)
    torch.nn.init.zeros_(fusion.phase_embedding.embedding)
    fused = fusion(tokens, everything)[0]
    torch.testing.assert_close(fusion(tokens[:, swapped], everything)[0], fused)


def test_a_case_without_tokens_gives_the_class_token():
    fusion, tokens = strategy()
    fused = fusion(tokens, torch.zeros(3, M, dtype=torch.bool))[0]
    assert torch.equal(fused, fusion.class_token[:, 0].expand(3, C))
