# SPDX-License-Identifier: Apache-2.0
"""What is special about concatenation."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import Concat


def test_equals_its_formula():
    torch.manual_seed(0)
    fusion = Concat(num_tokens=2, in_dim=3, hidden=5).eval()
    tokens, present = torch.randn(1, 2, 3), torch.tensor([[True, False]])
    joined = torch.cat([tokens[0, 0], torch.zeros(3), torch.tensor([1.0, 0.0])])
    expected = torch.relu(fusion.mix.weight @ joined + fusion.mix.bias)
    torch.testing.assert_close(fusion(tokens, present)[0][0], expected)


def test_tells_an_absent_token_from_an_empty_one():
    torch.manual_seed(0)
    fusion = Concat(num_tokens=2, in_dim=3).eval()
    tokens = torch.randn(1, 2, 3)
    tokens[0, 1] = 0
    empty = fusion(tokens, torch.tensor([[True, True]]))[0]
    absent = fusion(tokens, torch.tensor([[True, False]]))[0]
    assert not torch.allclose(empty, absent)
