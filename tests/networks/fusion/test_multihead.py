# SPDX-License-Identifier: Apache-2.0
"""Masked attention against PyTorch's, and where PyTorch's gives NaN or takes no such width."""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.attention_layers import MaskedMultiHeadAttention

B, Q, K, C = 3, 2, 4, 8
PRESENT = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
VISIBLE = PRESENT.unsqueeze(1).expand(B, Q, K)


def inputs(dim: int = C) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(B, Q, dim), torch.randn(B, K, dim)


@pytest.mark.parametrize("num_heads", [1, 2, 8])
@pytest.mark.parametrize("zero_slot", [False, True])
def test_equals_that_of_torch(num_heads, zero_slot, torch_attention):
    torch.manual_seed(0)
    ours = MaskedMultiHeadAttention(C, num_heads, zero_slot=zero_slot)
    queries, keys = inputs()
    out, attention = ours(queries, keys, VISIBLE)
    expected_out, expected = torch_attention(ours)(
        queries, keys, keys, key_padding_mask=~PRESENT, average_attn_weights=False
    )
    torch.testing.assert_close(out, expected_out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention, expected[..., :K], atol=1e-5, rtol=1e-5)


def test_a_width_that_the_heads_do_not_divide_equals_the_formula():
    torch.manual_seed(0)
    ours = MaskedMultiHeadAttention(dim=7, num_heads=3)
    assert ours.query.out_features == 9  # three heads of 7 / 3, rounded up
    queries, keys = inputs(7)
    out, attention = ours(queries, keys, VISIBLE)
    for b in range(B):
        seen = PRESENT[b].nonzero().flatten()
        for i in range(Q):
            mixed = []
            for h in range(3):
                rows = slice(3 * h, 3 * h + 3)
                query = ours.query.weight[rows] @ queries[b, i] + ours.query.bias[rows]
                scores = torch.stack([query @ (ours.key.weight[rows] @ keys[b, k]) for k in seen]) / 3**0.5
                weights = scores.exp() / scores.exp().sum()
                torch.testing.assert_close(attention[b, h, i, seen], weights)
                mixed.append(
                    sum(w * (ours.value.weight[rows] @ keys[b, k]) for w, k in zip(weights, seen, strict=True))
                )
            torch.testing.assert_close(out[b, i], ours.out.weight @ torch.cat(mixed) + ours.out.bias)


@pytest.mark.parametrize("zero_slot", [False, True])
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(zero_slot):
    torch.manual_seed(0)
    ours = MaskedMultiHeadAttention(C, zero_slot=zero_slot)
    queries, keys = inputs()
    visible = VISIBLE.clone()
    visible[0, 1] = False
    queries.requires_grad_()
    out, attention = ours(queries, keys, visible)
    assert not out[0, 1].any()
    assert not attention[0, :, 1].any()
    (out * torch.randn_like(out)).sum().backward()
    assert not queries.grad[0, 1].any()
    assert queries.grad[0, 0].any()
    assert all(p.grad.isfinite().all() for p in ours.parameters())


def test_dropout_acts_while_training_only():
    torch.manual_seed(0)
    ours, without = MaskedMultiHeadAttention(C, dropout=0.5), MaskedMultiHeadAttention(C)
    without.load_state_dict(ours.state_dict())
    case = (*inputs(), VISIBLE)
    assert not torch.equal(ours(*case)[0], ours(*case)[0])
    assert torch.equal(ours.eval()(*case)[0], without(*case)[0])


def test_no_head_is_named():
    with pytest.raises(ValueError, match="num_heads must be at least 1, found 0"):
        MaskedMultiHeadAttention(C, num_heads=0)
