# SPDX-License-Identifier: Apache-2.0
"""PyTorch's own attention, as the reference of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scripts.networks.fusion.attention_layers import MaskedMultiHeadAttention
from torch import nn


def of_torch(ours: MaskedMultiHeadAttention) -> nn.MultiheadAttention:
    """Return `torch.nn.MultiheadAttention` with the weights of ours; H must divide C.

    Ours has no bias of the keys. Where no zero slot is in the softmax, theirs may be anything.
    """
    dim = ours.out.out_features
    theirs = nn.MultiheadAttention(dim, ours.num_heads, batch_first=True, add_zero_attn=ours.zero_slot)
    key_bias = torch.zeros(dim) if ours.zero_slot else torch.randn(dim)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, key_bias, torch.zeros(dim)]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


@pytest.fixture
def torch_attention() -> Callable[[MaskedMultiHeadAttention], nn.MultiheadAttention]:
    """The function that turns our attention into PyTorch's."""
    return of_torch
