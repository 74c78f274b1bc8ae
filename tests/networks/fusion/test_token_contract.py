# SPDX-License-Identifier: Apache-2.0
"""The token contract, over every strategy of `scripts.networks.fusion`.

A new strategy that lies in `scripts/networks/fusion` is tested here without any change.
"""

from __future__ import annotations

import itertools
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from scripts.networks import fusion as fusion_package
from scripts.networks.fusion.base import TokenFusion
from torch import Tensor

EXPORTED = [
    value
    for module in iter_modules(fusion_package.__path__)
    for value in vars(import_module(f"{fusion_package.__name__}.{module.name}")).values()
    if isinstance(value, type) and value.__module__.endswith(f"fusion.{module.name}")
]
"""Every class in `scripts/networks/fusion`."""
STRATEGIES = [s for s in EXPORTED if isinstance(s, type) and issubclass(s, TokenFusion) and s is not TokenFusion]
C = 6


def patterns(num_tokens: int) -> Tensor:
    """Every pattern of absence for up to 4 tokens; beyond: all, none, each alone, each missing, 16 draws."""
    if num_tokens <= 4:
        return torch.tensor(list(itertools.product([True, False], repeat=num_tokens)))
    each = torch.eye(num_tokens, dtype=torch.bool)
    draws = torch.rand(16, num_tokens, generator=torch.Generator().manual_seed(0)) < 0.5
    return torch.cat([torch.ones_like(each[:1]), torch.zeros_like(each[:1]), each, ~each, draws])


@pytest.fixture(params=range(1, 9), ids=lambda m: f"M={m}")
def num_tokens(request) -> int:
    return request.param


@pytest.fixture(params=STRATEGIES, ids=lambda s: s.__name__)
def fusion(request, num_tokens) -> TokenFusion:
    torch.manual_seed(0)
    return request.param(num_tokens=num_tokens, in_dim=C).eval()


def tokens_for(present: Tensor, filler: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(*present.shape, C, generator=generator)
    return torch.where(present.unsqueeze(2), tokens, torch.tensor(filler)).requires_grad_()


def run(fusion: TokenFusion, present: Tensor, filler: float = 0.0) -> tuple[Tensor, dict, list[Tensor]]:
    """Return fused, aux and the gradients of a fixed function of the fused vector."""
    tokens = tokens_for(present, filler)
    fused, aux = fusion(tokens, present)
    direction = torch.linspace(-1, 1, fused.numel()).reshape(fused.shape)
    return fused, aux, list(torch.autograd.grad((fused * direction).sum(), [tokens, *fusion.parameters()]))


def test_shapes_are_known_and_everything_is_finite(fusion, num_tokens):
    present = patterns(num_tokens)
    fused, aux, gradients = run(fusion, present)
    assert fused.shape == (len(present), fusion.out_dim)
    assert all(value.isfinite().all() for value in (fused, *aux.values(), *gradients))


def test_absent_tokens_change_nothing(fusion, num_tokens):
    present = patterns(num_tokens)
    fused, aux, gradients = run(fusion, present)
    for filler in (3.0, float("nan"), float("inf")):
        other_fused, other_aux, other_gradients = run(fusion, present, filler)
        assert torch.equal(fused, other_fused)
        assert all(torch.equal(aux[name], other_aux[name]) for name in aux)
        assert all(torch.equal(a, b) for a, b in zip(gradients, other_gradients, strict=True))
    assert not gradients[0][~present].any()


def test_cases_do_not_influence_each_other(fusion, num_tokens):
    present = patterns(num_tokens)
    together = fusion(tokens_for(present), present)[0]
    alone = [fusion(tokens_for(present)[i : i + 1], present[i : i + 1])[0] for i in range(len(present))]
    torch.testing.assert_close(together, torch.cat(alone))


def test_evaluation_is_deterministic_and_scripts(fusion, num_tokens):
    present = patterns(num_tokens)
    fused, aux = fusion(tokens_for(present), present)
    assert torch.equal(fused, fusion(tokens_for(present), present)[0])
    scripted_fused, scripted_aux = torch.jit.script(fusion)(tokens_for(present), present)
    torch.testing.assert_close(scripted_fused, fused, atol=1e-5, rtol=1e-5)
    assert scripted_aux.keys() == aux.keys()


def test_every_parameter_gets_a_gradient(fusion, num_tokens):
    if num_tokens == 1:
        pytest.skip("asked for two tokens or more")
    fusion.train()
    gradients = run(fusion, torch.ones(4, num_tokens, dtype=torch.bool))[2]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_weights_sum_to_one_over_present_tokens(fusion, num_tokens):
    present = patterns(num_tokens)
    aux = run(fusion, present)[1]
    if "weights" not in aux:
        pytest.skip("this strategy gives no weights")
    assert aux["weights"].shape == present.shape
    assert not aux["weights"][~present].any()
    torch.testing.assert_close(aux["weights"].sum(dim=1), present.any(dim=1).float())
