# SPDX-License-Identifier: Apache-2.0
"""The loss of outlines against MONAI's own."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceFocalLoss
from scripts.losses.outline_loss import OutlineLoss
from torch import Tensor

S, SIZE = 2, (6, 8, 4)


def logits(masks: int, size=SIZE, seed: int = 0) -> Tensor:
    return torch.randn(3, masks * (S + 1), *size, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def target(masks: int) -> Tensor:
    return torch.randint(S + 1, (3, masks, *SIZE), generator=torch.Generator().manual_seed(9)).byte()


@pytest.mark.parametrize(("kind", "monai"), [("dice_ce", DiceCELoss), ("dice_focal", DiceFocalLoss)])
@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("include_background", [True, False])
def test_it_is_the_loss_of_monai_on_complete_targets(kind, monai, batch, include_background):
    theirs = monai(to_onehot_y=True, softmax=True, batch=batch, include_background=include_background)
    ours = OutlineLoss(S, kind, include_background, batch)
    one = logits(1)
    torch.testing.assert_close(ours(one, target(1)), theirs(one, target(1)))
    three = logits(3)
    pairs = three.reshape(9, S + 1, *SIZE), target(3).reshape(9, 1, *SIZE)
    torch.testing.assert_close(ours({"logits": three, "present": None}, target(3)), theirs(*pairs))


def test_masks_that_nobody_drew_are_left_out():
    given, truth = logits(2), target(2)
    truth[1] = 255
    truth[2, 0, 1:] = 255  # moved by an augmentation, say
    found = OutlineLoss(S)(given, truth)
    kept = given.unflatten(1, (2, S + 1))[[0, 0, 2], [0, 1, 1]], truth[[0, 0, 2], [0, 1, 1]].unsqueeze(1)
    theirs = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, include_background=False)
    torch.testing.assert_close(found, theirs(*kept))
    found.backward()
    assert not given.grad[1].any()
    assert not given.grad[2, : S + 1].any()
    assert given.grad[2, S + 1 :].any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_levels_weigh_half_as_much_each_and_together_one(count):
    sizes = [SIZE, (3, 4, 2), (2, 2, 1)][:count]
    every = [logits(1, size, seed) for seed, size in enumerate(sizes)]
    theirs = DeepSupervisionLoss(DiceCELoss(to_onehot_y=True, softmax=True, batch=True, include_background=False))
    expected = theirs(every, target(1)) / sum(theirs.get_weights(count))
    torch.testing.assert_close(OutlineLoss(S)({"logits": every[0], "levels": every[1:]}, target(1)), expected)


def test_a_perfect_outline_costs_nothing():
    truth = target(1)
    sure = 50 * torch.nn.functional.one_hot(truth[:, 0].long(), S + 1).movedim(4, 1).float()
    torch.testing.assert_close(OutlineLoss(S)(sure, truth), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_a_batch_without_any_mask_teaches_nothing_and_stops_nothing():
    given, coarse = logits(1), logits(1, (3, 4, 2))
    loss = OutlineLoss(S)({"logits": given, "levels": [coarse]}, torch.full((3, 1, *SIZE), 255).byte())
    loss.backward()
    assert loss == 0
    assert not given.grad.any()
    assert not coarse.grad.any()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="one of dice_ce, dice_focal, found 'dice'"):
        OutlineLoss(S, "dice")
    with pytest.raises(ValueError, match=r"2 masks of 2 structures and the background need 6 channels .*found 3"):
        OutlineLoss(S)(logits(1), target(2))
    strange = target(1)
    strange[0, 0, 0, 0, 0] = 7
    with pytest.raises(ValueError, match=r"must hold 0 to 2, or 255 .*found 7"):
        OutlineLoss(S)(logits(1), strange)
