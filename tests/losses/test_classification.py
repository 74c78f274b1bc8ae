# SPDX-License-Identifier: Apache-2.0
"""The loss of one prediction against torch's and MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.losses import FocalLoss
from scripts.losses.classification import ClassificationLoss
from torch.nn import functional

K = 3


@pytest.fixture
def logits() -> torch.Tensor:
    torch.manual_seed(0)
    return (3 * torch.randn(8, K)).requires_grad_()


LABEL = torch.tensor([0, 1, 2, 2, 1, 0, 0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 4.0]])
def test_without_focus_it_is_cross_entropy(logits, weights, smoothing):
    loss = ClassificationLoss(class_weights=weights, label_smoothing=smoothing)(logits, LABEL)
    tensor = None if weights is None else torch.tensor(weights)
    expected = functional.cross_entropy(logits, LABEL, tensor, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.5])
def test_with_focus_it_is_monai_times_the_number_of_classes(logits, gamma):
    """MONAI averages over cases and classes, of which only the true one is not zero."""
    monai = FocalLoss(gamma=gamma, use_softmax=True, to_onehot_y=True)(logits, LABEL[:, None])
    torch.testing.assert_close(ClassificationLoss(focal_gamma=gamma)(logits, LABEL), K * monai)


def test_focus_weights_and_smoothing_together_equal_the_formula(logits):
    weights, gamma, smoothing = torch.tensor([0.5, 1.0, 4.0]), 2.0, 0.3
    loss = ClassificationLoss(weights.tolist(), focal_gamma=gamma, label_smoothing=smoothing)(logits, LABEL)
    top, bottom = torch.tensor(0.0), torch.tensor(0.0)
    for z, y in zip(logits, LABEL, strict=True):
        p = z.exp() / z.exp().sum()
        for k in range(K):
            t = (1 - smoothing) * float(k == y) + smoothing / K
            top = top - weights[k] * t * (1 - p[k]) ** gamma * p[k].log()
        bottom = bottom + weights[y]
    torch.testing.assert_close(loss, top / bottom)


def test_reaches_zero_on_certain_predictions_with_full_gradient_on_wrong_ones():
    right, wrong = torch.tensor([[30.0, 0.0]]), torch.tensor([[0.0, 30.0]], requires_grad=True)
    assert ClassificationLoss()(right, torch.tensor([0])) < 1e-6
    ClassificationLoss()(wrong, torch.tensor([0])).backward()
    torch.testing.assert_close(wrong.grad, torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_gradient_is_finite_on_extreme_logits(gamma):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    ClassificationLoss(focal_gamma=gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad.isfinite().all()


def test_balanced_weights_let_every_class_count_the_same(logits):
    counts = [1, 2, 5]
    label = torch.tensor([0, 1, 1, 2, 2, 2, 2, 2])
    loss = ClassificationLoss("balanced", counts)(logits, label)
    single = functional.cross_entropy(logits, label, reduction="none")
    torch.testing.assert_close(loss, torch.stack([single[label == k].mean() for k in range(K)]).mean())


def test_coefficients_weigh_cases_and_zero_removes_them(logits):
    c = torch.tensor([1.0, 0, 2, 0, 0, 0, 0, 0])
    loss = ClassificationLoss()(logits, LABEL, c)
    single = functional.cross_entropy(logits, LABEL, reduction="none")
    torch.testing.assert_close(loss, (single[0] + 2 * single[2]) / 3)
    assert ClassificationLoss()(logits, LABEL, torch.zeros(8)) == 0


def test_takes_the_networks_dict_as_well(logits):
    assert torch.equal(ClassificationLoss()({"logits": logits}, LABEL), ClassificationLoss()(logits, LABEL))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": "balance"}, "null, balanced or one number per class, found 'balance'"),
        ({"class_weights": "balanced"}, "found class_counts None"),
        ({"class_weights": "balanced", "class_counts": [4, 0]}, r"every class, found class_counts \[4, 0\]"),
        ({"class_weights": [1.0], "class_counts": [4, 4]}, r"each of 2 classes, found \[1.0\]"),
        ({"class_weights": [1.0, -1.0]}, r"non-negative"),
        ({"focal_gamma": 0.5}, "0 or at least 1, found 0.5"),
        ({"label_smoothing": 1.0}, "below 1, found 1.0"),
    ],
)
def test_wrong_options_are_named_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        ClassificationLoss(**options)
    assert "\n" not in str(error.value)


def test_weights_for_another_number_of_classes_are_named(logits):
    with pytest.raises(ValueError, match="2 numbers but there are 3 classes"):
        ClassificationLoss([1.0, 2.0])(logits, LABEL)
