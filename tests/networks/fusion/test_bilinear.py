# SPDX-License-Identifier: Apache-2.0
"""Bilinear pooling against explicit bilinear forms, written as loops over pairs."""

from __future__ import annotations

import itertools

import torch
from scripts.networks.fusion.products import Bilinear

M, C, RANK, F = 3, 4, 2, 5


def test_equals_explicit_bilinear_forms():
    torch.manual_seed(0)
    fusion = Bilinear(num_tokens=M, in_dim=C, rank=RANK, hidden=F).double()
    f = torch.randn(4, M, C, dtype=torch.float64)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)
    fused, _ = fusion(f, present)

    u = [projection.weight for projection in fusion.project]
    skip, pooling = fusion.mix.weight[:, : M * (C + 1)], fusion.mix.weight[:, M * (C + 1) :]
    for b in range(len(f)):
        seen = [f[b, m] if present[b, m] else torch.zeros(C).double() for m in range(M)]
        value = skip @ torch.cat([*seen, present[b].double()]) + fusion.mix.bias
        for pair, (m, n) in enumerate(itertools.combinations(range(M), 2)):
            if present[b, m] and present[b, n]:
                p = pooling[:, pair * RANK : (pair + 1) * RANK]
                form = torch.einsum("kr,rc,rd->kcd", p, u[m], u[n])  # one C x C matrix per fused feature
                assert torch.linalg.matrix_rank(form).max() == RANK
                value = value + torch.einsum("c,kcd,d->k", seen[m], form, seen[n])
        torch.testing.assert_close(fused[b], value.relu())


def test_a_single_phase_is_a_plain_layer():
    fusion = Bilinear(num_tokens=1, in_dim=C)
    f = torch.randn(2, 1, C)
    expected = torch.relu(fusion.mix(torch.cat([f[:, 0], torch.ones(2, 1)], dim=1)))
    torch.testing.assert_close(fusion(f, torch.ones(2, 1, dtype=torch.bool))[0], expected)
