# SPDX-License-Identifier: Apache-2.0
"""Self-attention against PyTorch's, in cases with and without absent phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.attention import SelfAttention
from torch import nn

M, C = 3, 8


def strategy() -> tuple[SelfAttention, torch.Tensor]:
    torch.manual_seed(0)
    return SelfAttention(num_tokens=M, in_dim=C, num_heads=2).eval(), torch.randn(3, M, C)


def test_equals_a_transformer_layer_of_torch_over_the_present_tokens(torch_attention):
    """With the embedding at 0 and the first norm idle, it is `nn.TransformerEncoderLayer`, norm first."""
    fusion, tokens = strategy()
    nn.init.zeros_(fusion.phase_embedding.embedding)
    tokens = nn.functional.layer_norm(tokens, [C], eps=0.0)  # normalising again changes nothing
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    layer = nn.TransformerEncoderLayer(
        C, 2, dim_feedforward=2 * C, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    layer.self_attn = torch_attention(fusion.block.attention)
    layer.norm2, layer.linear1 = fusion.block.feed_forward[0], fusion.block.feed_forward[1]
    layer.linear2 = fusion.block.feed_forward[4]
    out = layer(tokens, src_key_padding_mask=~present)
    for b in range(3):
        expected = out[b, present[b]].mean(dim=0)
        torch.testing.assert_close(fusion(tokens, present)[0][b], expected, atol=1e-4, rtol=1e-4)


def test_equals_that_of_torch(torch_attention):
    fusion, tokens = strategy()
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    z = nn.functional.layer_norm(tokens, [C]) + fusion.phase_embedding.embedding
    found, expected = torch_attention(fusion.block.attention)(
        z, z, z, key_padding_mask=~present, average_attn_weights=False
    )
    fused, aux = fusion(tokens, present)
    for b in range(3):
        rows = present[b]
        torch.testing.assert_close(aux["attention"][b][:, rows], expected[b][:, rows], atol=1e-5, rtol=1e-5)
        assert not aux["attention"][b][:, ~rows].any()  # an absent phase looks at nothing
        h = (z + found)[b, rows]
        torch.testing.assert_close(fused[b], (h + fusion.block.feed_forward(h)).mean(0), atol=1e-5, rtol=1e-5)


def test_knows_the_phases_by_their_embedding_alone():
    fusion, tokens = strategy()
    everything, swapped = torch.ones(3, M, dtype=torch.bool), [1, 0, 2]
    fused = fusion(tokens, everything)[0]
    assert not torch.allclose(fusion(tokens[:, swapped], everything)[0], fused, atol=1e-3)
    nn.init.zeros_(fusion.phase_embedding.embedding)
    fused = fusion(tokens, everything)[0]
    torch.testing.assert_close(fusion(tokens[:, swapped], everything)[0], fused)
