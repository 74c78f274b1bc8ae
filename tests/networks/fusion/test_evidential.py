# SPDX-License-Identifier: Apache-2.0
"""Evidential fusion against Dempster's rule over explicit mass functions, worked in sets."""

from __future__ import annotations

import functools
import itertools

import pytest
import torch
from scripts.networks.fusion.decisions import Evidential
from torch import Tensor
from torch.nn import functional

Masses = dict[frozenset[int], float]


def masses(evidence: Tensor) -> Masses:
    """Return the opinion of one phase: mass e_k / S on each class, K / S on the set of all classes."""
    k = len(evidence)
    strength = float(evidence.sum()) + k
    result = {frozenset([i]): float(evidence[i]) / strength for i in range(k)}
    return result | {frozenset(range(k)): k / strength}


def dempster(one: Masses, two: Masses) -> Masses:
    """Combine two mass functions: products of masses go to intersections, conflict is normalised away."""
    result: Masses = {}
    for (a, mass_a), (b, mass_b) in itertools.product(one.items(), two.items()):
        result[a & b] = result.get(a & b, 0.0) + mass_a * mass_b
    conflict = result.pop(frozenset(), 0.0)
    return {subset: mass / (1 - conflict) for subset, mass in result.items()}


def everything(num_phases: int) -> Tensor:
    return torch.ones(1, num_phases, dtype=torch.bool)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("num_phases", [1, 2, 4])
def test_equals_dempsters_rule(num_phases, num_classes):
    torch.manual_seed(0)
    phase_logits = (3 * torch.randn(1, num_phases, num_classes)).double()
    logits, aux = Evidential(num_phases, num_classes)(phase_logits, everything(num_phases))
    opinions = [masses(functional.softplus(phase_logits[0, p])) for p in range(num_phases)]
    combined = functools.reduce(dempster, opinions)
    vacuous = frozenset(range(num_classes))
    strength = num_classes / combined[vacuous]
    alpha = torch.tensor([combined[frozenset([i])] * strength + 1 for i in range(num_classes)]).double()
    torch.testing.assert_close(logits[0].exp(), alpha)
    torch.testing.assert_close(logits[0].softmax(dim=0), alpha / alpha.sum())
    assert float(aux["uncertainty"][0]) == pytest.approx(combined[vacuous])
    assert aux["phase_uncertainty"][0].tolist() == pytest.approx([o[vacuous] for o in opinions])


def test_a_case_worked_by_hand():
    # e_1 = (2, 0): b = (1/2, 0), u = 1/2.  e_2 = (0, 1): b = (0, 1/3), u = 2/3.  conflict = 1/2 * 1/3 = 1/6
    # b = (1/2 * 2/3, 1/3 * 1/2) / (5/6) = (2/5, 1/5), u = 1/2 * 2/3 / (5/6) = 2/5; S = 5, alpha = (3, 2)
    evidence = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]).clamp_min(1e-8).double()
    logits, aux = Evidential(2, 2)(torch.log(torch.expm1(evidence)), everything(2))
    torch.testing.assert_close(logits.exp(), torch.tensor([[3.0, 2.0]]).double(), atol=1e-6, rtol=0)
    assert float(aux["uncertainty"]) == pytest.approx(0.4)
    assert aux["phase_uncertainty"][0].tolist() == pytest.approx([1 / 2, 2 / 3])
    torch.testing.assert_close(aux["phase_logits"].exp(), evidence + 1)


def test_order_of_the_phases_plays_no_part():
    torch.manual_seed(0)
    phase_logits = torch.randn(1, 4, 3)
    expected = Evidential(4, 3)(phase_logits, everything(4))[0]
    for order in itertools.permutations(range(4)):
        torch.testing.assert_close(Evidential(4, 3)(phase_logits[:, order], everything(4))[0], expected)


def test_an_absent_phase_is_a_vacuous_opinion():
    torch.manual_seed(0)
    phase_logits = torch.randn(1, 3, 3)
    without = Evidential(2, 3)(phase_logits[:, [0, 2]], everything(2))[0]
    logits, aux = Evidential(3, 3)(phase_logits, torch.tensor([[True, False, True]]))
    torch.testing.assert_close(logits, without)
    assert float(aux["phase_uncertainty"][0, 1]) == 1
    phase_logits[:, 1] = -100  # present, and without any evidence
    torch.testing.assert_close(Evidential(3, 3)(phase_logits, everything(3))[0], without)


def test_agreement_lowers_and_ignorance_keeps_the_uncertainty():
    sure, unsure = [3.0, -9.0], [-9.0, -9.0]
    present = everything(2).expand(3, 2)
    uncertainty = Evidential(2, 2)(torch.tensor([[sure, sure], [sure, unsure], [unsure, unsure]]), present)[1]
    agreed, one, none = uncertainty["uncertainty"].tolist()
    assert agreed < one < none
    assert none == pytest.approx(1, abs=1e-3)
