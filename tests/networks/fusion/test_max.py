# SPDX-License-Identifier: Apache-2.0
"""The maximum: present tokens only, below zero too."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import Max


def test_takes_each_feature_from_the_present_token_that_shows_it_most():
    tokens = torch.tensor([[[-3.0, -1.0], [-2.0, -5.0], [9.0, -0.5]]]).requires_grad_()
    present = torch.tensor([[True, True, False]])
    fused = Max(num_tokens=3, in_dim=2)(tokens, present)[0]
    assert fused.tolist() == [[-2.0, -1.0]]  # an absent token is no zero, which would win here
    fused.sum().backward()
    assert tokens.grad.tolist() == [[[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]]


def test_a_case_without_tokens_gives_zeros():
    assert not Max(2, 3)(torch.randn(1, 2, 3), torch.tensor([[False, False]]))[0].any()
