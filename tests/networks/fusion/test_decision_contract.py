# SPDX-License-Identifier: Apache-2.0
"""The contract of decision-level fusion, over every strategy of `scripts.networks.fusion`.

A new strategy that lies in `scripts/networks/fusion` is tested here without any change.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from scripts.networks.fusion.base import DecisionFusion
from torch import Tensor

from tests.networks.fusion.test_token_contract import EXPORTED

STRATEGIES = [s for s in EXPORTED if issubclass(s, DecisionFusion) and s is not DecisionFusion]


@pytest.fixture(params=itertools.product([1, 2, 3, 8], [2, 5]), ids=lambda s: f"P={s[0]}-K={s[1]}")
def sizes(request) -> tuple[int, int]:
    return request.param


@pytest.fixture(params=STRATEGIES, ids=lambda s: s.__name__)
def fusion(request, sizes) -> DecisionFusion:
    torch.manual_seed(0)
    fusion = request.param(num_phases=sizes[0], num_classes=sizes[1])
    for parameter in fusion.parameters():  # away from a neutral start
        torch.nn.init.normal_(parameter)
    return fusion


def patterns(num_phases: int) -> Tensor:
    return torch.tensor(list(itertools.product([True, False], repeat=num_phases)))


def logits_for(present: Tensor, num_classes: int, filler: float = 0.0, scale: float = 1.0) -> Tensor:
    values = scale * torch.randn(*present.shape, num_classes, generator=torch.Generator().manual_seed(1))
    return torch.where(present.unsqueeze(2), values, torch.tensor(filler)).requires_grad_()


def run(fusion: DecisionFusion, present: Tensor, phase_logits: Tensor) -> tuple[Tensor, dict, list[Tensor]]:
    logits, aux = fusion(phase_logits, present)
    direction = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    inputs = [phase_logits, *fusion.parameters()]
    return logits, aux, list(torch.autograd.grad((logits * direction).sum(), inputs))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_everything_is_finite(fusion, sizes, scale):
    present = patterns(sizes[0])
    logits, aux, gradients = run(fusion, present, logits_for(present, sizes[1], scale=scale))
    assert logits.shape == (len(present), sizes[1])
    assert logits.dtype is torch.float32
    assert all(value.isfinite().all() for value in (logits, *aux.values(), *gradients))


def test_no_phase_means_the_uniform_probability(fusion, sizes):
    present = torch.zeros(1, sizes[0], dtype=torch.bool)
    probability = fusion(logits_for(present, sizes[1], float("nan")), present)[0].softmax(dim=1)
    torch.testing.assert_close(probability, torch.full((1, sizes[1]), 1 / sizes[1]))


def test_absent_phases_change_nothing(fusion, sizes):
    present = patterns(sizes[0])
    logits, aux, gradients = run(fusion, present, logits_for(present, sizes[1]))
    for filler in (3.0, float("nan"), float("inf")):
        other = run(fusion, present, logits_for(present, sizes[1], filler))
        assert torch.equal(logits, other[0])
        assert all(torch.equal(aux[name], other[1][name]) for name in aux)
        assert all(torch.equal(a, b) for a, b in zip(gradients, other[2], strict=True))
    assert not gradients[0][~present].any()


def test_cases_do_not_influence_each_other(fusion, sizes):
    present = patterns(sizes[0])
    phase_logits = logits_for(present, sizes[1])
    alone = [fusion(phase_logits[i : i + 1], present[i : i + 1])[0] for i in range(len(present))]
    torch.testing.assert_close(fusion(phase_logits, present)[0], torch.cat(alone))


def test_one_phase_keeps_what_it_says(fusion, sizes):
    present = torch.eye(sizes[0], dtype=torch.bool)
    phase_logits = logits_for(present, sizes[1])
    logits, aux = fusion(phase_logits, present)
    alone = aux.get("phase_logits", phase_logits).softmax(dim=2)[present]
    torch.testing.assert_close(logits.softmax(dim=1), alone)


def test_weights_sum_to_one_over_present_phases(fusion, sizes):
    present = patterns(sizes[0])
    aux = fusion(logits_for(present, sizes[1]), present)[1]
    if "weights" not in aux:
        pytest.skip("this strategy gives no weights")
    assert not aux["weights"][~present].any()
    torch.testing.assert_close(aux["weights"].sum(dim=1), present.any(dim=1).float())


def test_it_scripts(fusion, sizes):
    present = patterns(sizes[0])
    phase_logits = logits_for(present, sizes[1])
    logits, aux = fusion(phase_logits, present)
    scripted_logits, scripted_aux = torch.jit.script(fusion)(phase_logits, present)
    torch.testing.assert_close(scripted_logits, logits, atol=1e-5, rtol=1e-5)
    assert scripted_aux.keys() == aux.keys()
