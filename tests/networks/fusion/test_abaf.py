# SPDX-License-Identifier: Apache-2.0
"""ABAF against its formula, written as loops over cases and phases."""

from __future__ import annotations

import torch
from scripts.networks.fusion.tokens import Abaf

B, M, C = 5, 3, 4


def test_equals_the_formula():
    torch.manual_seed(0)
    fusion = Abaf(num_tokens=M, in_dim=C)
    f = torch.randn(B, M, C)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 1], [1, 1, 0]], dtype=torch.bool)
    fused, aux = fusion(f, present)

    weight, bias = fusion.gate.weight.reshape(M, C, M * C), fusion.gate.bias.reshape(M, C)
    for b in range(B):
        features = [f[b, m] if present[b, m] else torch.zeros(C) for m in range(M)]
        everything = torch.cat(features)
        attended = [torch.sigmoid(weight[m] @ everything + bias[m]) * features[m] for m in range(M)]
        score = [torch.exp(attended[m].mean()) if present[b, m] else torch.tensor(0.0) for m in range(M)]
        beta = [score[m] / sum(score) for m in range(M)]
        expected = torch.cat([M * beta[m] * attended[m] for m in range(M)])
        torch.testing.assert_close(fused[b], expected)
        torch.testing.assert_close(aux["weights"][b], torch.stack(beta))


def test_weights_do_not_saturate_with_batch_size():
    torch.manual_seed(0)
    fusion = Abaf(num_tokens=M, in_dim=C)
    case = torch.randn(1, M, C)
    present = torch.ones(1, M, dtype=torch.bool)
    once = fusion(case, present)[1]["weights"]
    many = fusion(case.expand(64, -1, -1), present.expand(64, -1))[1]["weights"]
    torch.testing.assert_close(many, once.expand(64, -1))
