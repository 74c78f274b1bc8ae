# SPDX-License-Identifier: Apache-2.0
"""The map contract, over every strategy of `scripts.networks.fusion` over feature maps.

A new strategy that lies in `scripts/networks/fusion` is tested here without any change.
"""

from __future__ import annotations

import pytest
import torch
from scripts.networks.fusion.base import MapFusion
from torch import Tensor

from tests.networks.fusion.test_token_contract import EXPORTED, patterns

STRATEGIES = [s for s in EXPORTED if isinstance(s, type) and issubclass(s, MapFusion) and s is not MapFusion]
C = 6
SIZES = [(3, 4, 3), (2, 3, 5), (1, 1, 1), (3, 3, 3)]


@pytest.fixture(params=[1, 2, 4, 6], ids=lambda m: f"M={m}")
def num_maps(request) -> int:
    return request.param


@pytest.fixture(params=STRATEGIES, ids=lambda s: s.__name__)
def fusion(request, num_maps) -> MapFusion:
    torch.manual_seed(0)
    return request.param(num_maps=num_maps, in_dim=C).eval()


def maps_for(present: Tensor, filler: float = 0.0) -> list[Tensor]:
    """Maps of different sizes, as of several views; absent ones hold `filler`."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for m in range(present.shape[1]):
        maps = torch.rand(len(present), C, *SIZES[m % len(SIZES)], generator=generator)
        maps[~present[:, m]] = filler
        found.append(maps.requires_grad_())
    return found


def run(fusion: MapFusion, present: Tensor, filler: float = 0.0) -> tuple[Tensor, dict, list[Tensor]]:
    """Return the fused map, aux and the gradients of a fixed function of the fused map."""
    maps = maps_for(present, filler)
    fused, aux = fusion(maps, present)
    direction = torch.linspace(-1, 1, fused.numel()).reshape(fused.shape)
    return fused, aux, list(torch.autograd.grad((fused * direction).sum(), [*maps, *fusion.parameters()]))


def test_shapes_are_known_and_everything_is_finite(fusion, num_maps):
    present = patterns(num_maps)
    fused, aux, gradients = run(fusion, present)
    assert fused.shape[:2] == (len(present), fusion.out_dim)
    assert fused.shape[2:] == tuple(max(axis) for axis in zip(*(SIZES[m % 4] for m in range(num_maps)), strict=True))
    assert all(value.isfinite().all() for value in (fused, *aux.values(), *gradients))


def test_absent_maps_change_nothing(fusion, num_maps):
    present = patterns(num_maps)
    fused, aux, gradients = run(fusion, present)
    for filler in (3.0, float("nan"), float("inf")):
        other_fused, other_aux, other_gradients = run(fusion, present, filler)
        assert torch.equal(fused, other_fused)
        assert all(torch.equal(aux[name], other_aux[name]) for name in aux)
        assert all(torch.equal(a, b) for a, b in zip(gradients, other_gradients, strict=True))
    for m in range(num_maps):
        assert not gradients[m][~present[:, m]].any()


def test_cases_do_not_influence_each_other(fusion, num_maps):
    present = patterns(num_maps)
    together = fusion(maps_for(present), present)[0]
    alone = [fusion([m[i : i + 1] for m in maps_for(present)], present[i : i + 1])[0] for i in range(len(present))]
    torch.testing.assert_close(together, torch.cat(alone))


def test_it_scripts(fusion, num_maps):
    present = patterns(num_maps)
    fused, aux = fusion(maps_for(present), present)
    scripted_fused, scripted_aux = torch.jit.script(fusion)(maps_for(present), present)
    torch.testing.assert_close(scripted_fused, fused, atol=1e-5, rtol=1e-5)
    assert scripted_aux.keys() == aux.keys()


def test_every_parameter_gets_a_gradient(fusion, num_maps):
    if num_maps == 1:
        pytest.skip("asked for two maps or more")
    gradients = run(fusion.train(), torch.ones(4, num_maps, dtype=torch.bool))[2]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_weights_sum_to_one_over_present_maps(fusion, num_maps):
    present = patterns(num_maps)
    aux = run(fusion, present)[1]
    if "weights" not in aux:
        pytest.skip("this strategy gives no weights")
    assert not aux["weights"][~present].any()
    torch.testing.assert_close(aux["weights"].sum(dim=1), present.any(dim=1).float())
