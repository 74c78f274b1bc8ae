"""The mean against a loop."""

from __future__ import annotations

import torch

from scripts.fusion import Mean


def test_is_the_mean_of_the_present_tokens_in_any_order():
    torch.manual_seed(0)
    fusion, tokens = Mean(num_tokens=4, in_dim=3), torch.randn(3, 4, 3)
    present = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    fused = fusion(tokens, present)[0]
    for b in range(3):
        expected = sum(tokens[b, m] for m in range(4) if present[b, m]) / int(present[b].sum())
        torch.testing.assert_close(fused[b], expected)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(fusion(tokens[:, order], present[:, order])[0], fused)


def test_a_case_without_tokens_gives_zeros():
    assert not Mean(2, 3)(torch.randn(1, 2, 3), torch.tensor([[False, False]]))[0].any()
