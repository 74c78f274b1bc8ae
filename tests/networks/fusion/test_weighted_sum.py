# SPDX-License-Identifier: Apache-2.0
"""The weighted sum against its formula; shares of absent phases go to the others."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import WeightedSum


def test_equals_the_formula():
    torch.manual_seed(0)
    fusion = WeightedSum(num_tokens=3, in_dim=4)
    torch.nn.init.normal_(fusion.scores)
    tokens = torch.randn(2, 3, 4)
    present = torch.tensor([[True, True, True], [True, False, True]])
    fused, aux = fusion(tokens, present)
    share = fusion.scores.exp()
    expected = torch.stack([share / share.sum(), torch.stack([share[0], 0 * share[1], share[2]])])
    expected[1] /= share[0] + share[2]
    torch.testing.assert_close(aux["weights"], expected)
    torch.testing.assert_close(fused[0], sum(expected[0, m] * tokens[0, m] for m in range(3)))
    torch.testing.assert_close(fused[1], expected[1, 0] * tokens[1, 0] + expected[1, 2] * tokens[1, 2])


def test_starts_as_the_mean():
    tokens, present = torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    torch.testing.assert_close(WeightedSum(5, 4)(tokens, present)[0], tokens.mean(dim=1))
