# SPDX-License-Identifier: Apache-2.0
"""Squashed tokens, side by side."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import SideBySide


def test_equals_its_formula_and_an_absent_token_is_zero_not_one_half():
    tokens = torch.randn(2, 3, 4)
    present = torch.tensor([[1, 1, 1], [1, 0, 1]], dtype=torch.bool)
    fused, _ = SideBySide(num_tokens=3, in_dim=4)(tokens, present)
    expected = tokens.sigmoid()
    expected[1, 1] = 0
    torch.testing.assert_close(fused, expected.flatten(1))
