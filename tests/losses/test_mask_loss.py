# SPDX-License-Identifier: Apache-2.0
"""The loss of the outlines beside that of the classes: which cases and phases count, and how much."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from scripts.losses.classification import ClassificationLoss
from scripts.losses.mask_loss import MaskLoss, target_of_phases
from scripts.losses.outline_loss import OutlineLoss

LABEL = torch.tensor([0, 1])
MASK = torch.randint(0, 3, (2, 1, 4, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def output() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    outline = torch.randn(2, 2 * 3, 4, 4, 4, requires_grad=True)
    logits = torch.randn(2, 2, requires_grad=True)
    return {"logits": logits, "outline": outline, "outlined": torch.tensor([[True, True], [True, False]])}


def loss_of(mask: torch.Tensor | None, weight: float = 0.5) -> MaskLoss:
    return MaskLoss(ClassificationLoss(), SimpleNamespace(mask=mask), num_structures=2, weight=weight)


def test_it_is_the_weighted_sum_over_phases_that_are_there():
    found = output()
    pairs = torch.cat([found["outline"][0].unflatten(0, (2, 3)), found["outline"][1, :3][None]])
    of_outlines = OutlineLoss(2)(pairs, MASK[[0, 0, 1]])
    expected = ClassificationLoss()(found, LABEL) + 0.5 * of_outlines
    assert torch.allclose(loss_of(MASK)(found, LABEL), expected)


def test_a_case_without_a_mask_adds_neither_loss_nor_gradient():
    mask = MASK.clone()
    mask[1] = 255
    found = output()
    loss_of(mask)(found, LABEL).backward()
    assert (found["outline"].grad[1] == 0).all()
    assert found["outline"].grad[0].abs().sum() > 0


@pytest.mark.parametrize("mask", [torch.full_like(MASK, 255), MASK])
def test_no_mask_or_no_weight_leaves_the_loss_of_the_classes(mask):
    found = output()
    weight = 0.5 if (mask == 255).all() else 0.0
    assert torch.equal(loss_of(mask, weight)(found, LABEL), ClassificationLoss()(found, LABEL))


def test_a_mask_of_each_phase_is_that_phase_s_target():
    mask = torch.stack([torch.full((1, 1, 1), value) for value in (1, 2)])[None]
    assert target_of_phases(mask, torch.tensor([[True, True]])).flatten().tolist() == [1, 2]
    assert target_of_phases(mask, torch.tensor([[False, True]])).flatten().tolist() == [255, 2]


def test_what_cannot_be_learned_is_said_in_one_line():
    with pytest.raises(ValueError, match="at least 0"):
        loss_of(MASK, -1.0)
    with pytest.raises(ValueError, match="name configs"):
        loss_of(MASK)({"logits": torch.zeros(2, 2)}, LABEL)
    with pytest.raises(ValueError, match="found a batch without"):
        loss_of(None)(output(), LABEL)
