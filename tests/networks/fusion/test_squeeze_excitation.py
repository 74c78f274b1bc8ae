# SPDX-License-Identifier: Apache-2.0
"""Channels of all phases are weighed by the averages of all of them."""

from __future__ import annotations

import torch
from scripts.networks.fusion.maps import SqueezeExcitation
from torch.nn import functional

ALL = torch.ones(3, 2, dtype=torch.bool)


def strategy() -> tuple[SqueezeExcitation, list[torch.Tensor]]:
    torch.manual_seed(0)
    return SqueezeExcitation(num_maps=2, in_dim=8), list(torch.rand(2, 3, 8, 4, 3, 2))


def test_equals_its_formula():
    fusion, maps = strategy()
    joined = torch.cat(maps, dim=1)
    first, _, second, _ = fusion.excite.fc
    excitation = second(functional.relu(first(joined.mean(dim=(2, 3, 4))))).sigmoid()
    mixed = torch.einsum(
        "fc,ncdhw->nfdhw", fusion.mix.weight[:, :, 0, 0, 0], joined * excitation[..., None, None, None]
    )
    expected = functional.relu(mixed + fusion.mix.bias[:, None, None, None])
    fused, aux = fusion(maps, ALL)
    torch.testing.assert_close(fused, expected)
    share = excitation.reshape(3, 2, 8).mean(dim=2)
    torch.testing.assert_close(aux["weights"], share / share.sum(dim=1, keepdim=True))


def test_it_excites_as_monai_does():
    fusion, maps = strategy()
    joined = torch.cat(maps, dim=1)
    fused, _ = fusion(maps, ALL)
    torch.testing.assert_close(fused, fusion.mix(fusion.excite(joined)).relu())


def test_one_phase_can_silence_a_channel_of_another():
    """Attention over one phase alone could not: the first phase never changes here."""
    fusion, maps = strategy()
    before = fusion.excite.fc(torch.cat(maps, dim=1).mean(dim=(2, 3, 4)))[:, :8]
    after = fusion.excite.fc(torch.cat([maps[0], 5 * maps[1]], dim=1).mean(dim=(2, 3, 4)))[:, :8]
    assert (before - after).abs().min() > 0
