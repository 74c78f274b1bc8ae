# SPDX-License-Identifier: Apache-2.0
"""The evidential loss against integrals over the Dirichlet distribution."""

from __future__ import annotations

import pytest
import torch
from scripts.losses.classification import ClassificationLoss
from scripts.losses.deep_supervision import DeepSupervision, DirichletLoss, EvidentialLoss
from scripts.networks.fusion.decisions import Evidential
from torch.distributions import Dirichlet, kl_divergence

PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=torch.bool)
LABEL = torch.tensor([0, 1, 1, 0])


@pytest.fixture
def outputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    logits, aux = Evidential(3, 2)(torch.randn(4, 3, 2, requires_grad=True), PRESENT)
    return {"logits": logits, "present": PRESENT, **aux}


def test_is_the_mean_cross_entropy_under_the_dirichlet():
    torch.manual_seed(0)
    alpha = torch.tensor([4.0, 1.5, 2.0])
    drawn = Dirichlet(alpha).sample((400_000,))
    loss = DirichletLoss(ClassificationLoss(), kl_weight=0)(alpha.log().unsqueeze(0), torch.tensor([1]))
    cross_entropy = -drawn[:, 1].log()
    standard_error = cross_entropy.std() / len(drawn) ** 0.5
    assert abs(loss - cross_entropy.mean()) < 4 * standard_error < 0.01


def test_misleading_evidence_costs_its_divergence_from_none():
    alpha = torch.tensor([4.0, 1.5, 2.0])
    logits, label = alpha.log().unsqueeze(0), torch.tensor([1])
    with_kl = DirichletLoss(ClassificationLoss(), kl_weight=0.3)(logits, label)
    without = DirichletLoss(ClassificationLoss(), kl_weight=0)(logits, label)
    expected = kl_divergence(Dirichlet(torch.tensor([4.0, 1.0, 2.0])), Dirichlet(torch.ones(3)))
    torch.testing.assert_close(with_kl - without, 0.3 * expected)


@pytest.mark.parametrize("size", [1.0, 10.0, 20.0, 40.0, 100.0])
def test_divergence_keeps_its_digits_and_is_cut_off_above_exp_20(size):
    logits, label = torch.tensor([[size, 0.0]]), torch.tensor([1])
    with_kl, without = (DirichletLoss(ClassificationLoss(), kl_weight=w)(logits, label) for w in (1.0, 0.0))
    kept = torch.tensor(min(size, 20.0))
    expected = kept + torch.exp(-kept) - 1  # of Dir(a, 1): log a + 1 / a - 1
    torch.testing.assert_close(with_kl - without, expected, atol=1e-3, rtol=0)


def test_evidence_for_the_class_is_never_misleading():
    logits, label = torch.tensor([[3.0, 0.0]]), torch.tensor([0])
    losses = [DirichletLoss(ClassificationLoss(), kl_weight=w)(logits, label) for w in (0.0, 1.0)]
    torch.testing.assert_close(losses[0], losses[1])


def test_approaches_cross_entropy_as_evidence_grows():
    probability = torch.tensor([[0.7, 0.3]])
    logits = (probability * 1e6).log()
    criterion = ClassificationLoss(class_weights=[1.0, 3.0], label_smoothing=0.1)
    loss = DirichletLoss(criterion, kl_weight=0)(logits, torch.tensor([1]))
    torch.testing.assert_close(loss, criterion(logits, torch.tensor([1])), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [10.0, 20.0, 100.0])
def test_stays_finite_and_pulls_the_right_way_for_any_evidence(size):
    logits = torch.tensor([[size, 0.0], [size, size], [0.0, size]], requires_grad=True)
    loss = DirichletLoss(ClassificationLoss())(logits, torch.tensor([1, 1, 1]))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]


def test_class_weights_weigh_the_cases():
    logits, label = torch.randn(4, 2).abs(), LABEL
    single = [DirichletLoss(ClassificationLoss())(logits[i : i + 1], label[i : i + 1]) for i in range(4)]
    weight = [1.0 if k == 0 else 3.0 for k in label]
    expected = sum(w * one for w, one in zip(weight, single, strict=True)) / sum(weight)
    loss = DirichletLoss(ClassificationLoss(class_weights=[1.0, 3.0]))(logits, label)
    torch.testing.assert_close(loss, expected)


def test_sums_the_combined_evidence_and_the_mean_over_present_phases(outputs):
    dirichlet = DirichletLoss(ClassificationLoss(), kl_weight=0.2)
    expected = dirichlet(outputs["logits"], LABEL)
    for b in range(4):
        for p in range(3):
            if PRESENT[b, p]:
                alone = dirichlet(outputs["phase_logits"][b, p].unsqueeze(0), LABEL[b : b + 1])
                expected = expected + 0.7 * alone / PRESENT[b].sum() / 4
    loss = EvidentialLoss(ClassificationLoss(), weight=0.7, kl_weight=0.2)(outputs, LABEL)
    torch.testing.assert_close(loss, expected)


def test_plain_logits_have_the_criterion_alone(outputs):
    criterion = ClassificationLoss(class_weights=[1.0, 3.0])
    loss = EvidentialLoss(criterion)(outputs["logits"], LABEL)
    assert torch.equal(loss, criterion(outputs["logits"], LABEL))


def test_what_it_cannot_do_is_named(outputs):
    with pytest.raises(ValueError, match="needs focal_gamma 0, found 2"):
        EvidentialLoss(ClassificationLoss(focal_gamma=2.0))
    del outputs["uncertainty"]
    assert DeepSupervision(ClassificationLoss())(outputs, LABEL).isfinite()
    with pytest.raises(ValueError, match="needs a network that gives evidence"):
        EvidentialLoss(ClassificationLoss())(outputs, LABEL)
