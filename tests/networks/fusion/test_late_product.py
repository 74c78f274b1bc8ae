# SPDX-License-Identifier: Apache-2.0
"""The product of experts against its formula and against Bayes' rule in an invented world."""

from __future__ import annotations

import torch
from scripts.networks.fusion.decisions import LateProduct


def test_equals_the_renormalised_product():
    torch.manual_seed(0)
    phase_logits = torch.randn(3, 4, 5)
    present = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0]], dtype=torch.bool)
    fusion = LateProduct(num_phases=4, num_classes=5)
    torch.nn.init.normal_(fusion.log_prior)
    prior = fusion.log_prior.softmax(dim=0)
    found = fusion(phase_logits, present)[0].softmax(dim=1)
    for b in range(3):
        product = torch.ones(5)
        for p in range(4):
            product = product * phase_logits[b, p].softmax(dim=0) if present[b, p] else product
        product = product / prior ** (present[b].sum() - 1)
        torch.testing.assert_close(found[b], product / product.sum())


def test_agreement_adds_up():
    phase_logits = torch.tensor([[[0.9, 0.1], [0.9, 0.1]]]).log()
    found = LateProduct(num_phases=2, num_classes=2)(phase_logits, torch.ones(1, 2, dtype=torch.bool))[0]
    torch.testing.assert_close(found.softmax(dim=1)[0, 0], torch.tensor(0.81 / 0.82))


def test_is_exact_for_phases_independent_given_the_class():
    torch.manual_seed(0)
    prior = torch.tensor([0.8, 0.15, 0.05])
    likelihood = torch.rand(4, 3)  # what each of 4 phases shows, given each of 3 classes
    posterior = prior * likelihood.prod(dim=0)
    single = (prior * likelihood).log().unsqueeze(0)  # each phase alone is calibrated
    fusion = LateProduct(num_phases=4, num_classes=3)
    present = torch.ones(1, 4, dtype=torch.bool)
    bare = fusion(single, present)[0].softmax(dim=1)[0]
    fusion.log_prior.data = prior.log()
    found = fusion(single, present)[0].softmax(dim=1)[0]
    torch.testing.assert_close(found, posterior / posterior.sum())
    assert bare[0] > found[0] + 0.01  # the bare product favours the frequent class
