# SPDX-License-Identifier: Apache-2.0
"""The losses on single phases against their formulas."""

from __future__ import annotations

import pytest
import torch
from scripts.losses.classification import ClassificationLoss
from scripts.losses.deep_supervision import AdaptiveDeepSupervision, DeepSupervision
from torch.nn import functional

PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1, 1, 0])


@pytest.fixture
def outputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    scores = torch.randn(4, 3, requires_grad=True)
    weights = scores.masked_fill(~PRESENT, -torch.inf).softmax(dim=1)
    return {
        "logits": torch.randn(4, 2, requires_grad=True),
        "phase_logits": torch.randn(4, 3, 2, requires_grad=True),
        "present": PRESENT,
        "weights": weights,
        "scores": scores,
    }


def formula(outputs, coefficient, weight) -> torch.Tensor:
    total = torch.tensor(0.0)
    for b in range(4):
        for p in range(3):
            if PRESENT[b, p]:
                single = functional.cross_entropy(outputs["phase_logits"][b, p], LABEL[b])
                total = total + coefficient(b, p) * single / 4
    return functional.cross_entropy(outputs["logits"], LABEL) + weight * total


def test_deep_supervision_equals_its_formula(outputs):
    loss = DeepSupervision(ClassificationLoss(), weight=0.7)(outputs, LABEL)
    torch.testing.assert_close(loss, formula(outputs, lambda b, p: 1 / PRESENT[b].sum(), 0.7))


def test_adaptive_equals_its_formula_and_leaves_the_weights_alone(outputs):
    loss = AdaptiveDeepSupervision(ClassificationLoss(), weight=0.7)(outputs, LABEL)
    torch.testing.assert_close(loss, formula(outputs, lambda b, p: outputs["weights"][b, p], 0.7))
    loss.backward()
    assert outputs["scores"].grad is None  # else the loss would move weight to the easiest phase


def test_equal_weights_make_adaptive_plain(outputs):
    outputs["weights"] = PRESENT / PRESENT.sum(dim=1, keepdim=True)
    adaptive = AdaptiveDeepSupervision(ClassificationLoss())(outputs, LABEL)
    torch.testing.assert_close(adaptive, DeepSupervision(ClassificationLoss())(outputs, LABEL))


@pytest.mark.parametrize("kind", [DeepSupervision, AdaptiveDeepSupervision])
def test_absent_phases_do_not_count(outputs, kind):
    loss = kind(ClassificationLoss())
    outputs["phase_logits"] = outputs["phase_logits"].detach()
    expected = loss(outputs, LABEL)
    outputs["phase_logits"] = torch.where(PRESENT[..., None], outputs["phase_logits"], torch.nan).requires_grad_()
    found = loss(outputs, LABEL)
    found.backward()
    assert torch.equal(found, expected)
    assert not outputs["phase_logits"].grad[~PRESENT].any()


@pytest.mark.parametrize("kind", [DeepSupervision, AdaptiveDeepSupervision])
def test_plain_logits_have_the_criterion_alone(outputs, kind):
    criterion = ClassificationLoss(class_weights=[1.0, 3.0], focal_gamma=2.0)
    logits = outputs["logits"]
    assert torch.equal(kind(criterion)(logits, LABEL), criterion(logits, LABEL))


def test_networks_that_lack_what_the_loss_needs_are_named(outputs):
    del outputs["weights"]
    with pytest.raises(ValueError, match="returns `weights`"):
        AdaptiveDeepSupervision(ClassificationLoss())(outputs, LABEL)
    del outputs["phase_logits"]
    with pytest.raises(ValueError, match="DeepSupervision needs a network with `phase_heads: true`"):
        DeepSupervision(ClassificationLoss())(outputs, LABEL)
