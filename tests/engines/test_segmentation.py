# SPDX-License-Identifier: Apache-2.0
"""Batches of images with masks, whole scans by windows, and the Dice score of a validation."""

from __future__ import annotations

import pytest
import torch
from monai.metrics import DiceMetric
from monai.transforms import RandFlip
from scripts.engines.segmentation import DiceScore, PrepareOutlined, WindowInferer, case_dice
from scripts.transforms.augment import AugmentBatch
from scripts.transforms.geometry import RandomGeometry
from torch import nn


class Bright(nn.Module):
    """Outlines what is bright in the phases that are there; says how large its windows were."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, image, present=None):
        self.sizes.append(tuple(image.shape[2:]))
        assert present is None or len(present) == len(image)
        shown = image if present is None else torch.where(present[:, :, None, None, None], image, 0.0)
        mean = shown.sum(dim=1, keepdim=True)
        return torch.cat([-mean, mean], dim=1)


def test_a_scan_by_windows_is_the_scan_at_once_for_a_network_that_looks_at_single_voxels():
    network = Bright().eval()
    image = torch.randn(2, 3, 11, 7, 9)
    present = torch.tensor([[True, False, True], [True, True, True]])
    found = WindowInferer([6, 8, 4], overlap=0.5)(image, network, present=present)
    assert set(network.sizes) == {(6, 8, 4)}
    assert torch.allclose(found, network(image, present), atol=1e-5)
    assert found.dtype == torch.float32


def test_whether_a_phase_is_there_is_a_matter_of_the_scan_not_of_the_window():
    told = []

    class Listens(Bright):
        def forward(self, image, present=None):
            told.append(present)
            return super().forward(image, present)

    image = torch.randn(1, 3, 8, 8, 8)
    image[:, 0, :5] = 0  # air, in a phase that is there
    image[:, 2] = 0
    WindowInferer([4, 4, 4], overlap=0)(image, Listens().eval())
    assert all((present == torch.tensor([True, True, False])).all() for present in told)


class Looks(nn.Module):
    """Outlines what its last slices show: what it says depends on how a scan is flipped."""

    def forward(self, image, present=None):
        mean = torch.cumsum(image.sum(dim=1, keepdim=True), dim=4)
        return torch.cat([-mean, mean, 2 * mean] * 2, dim=1)


def test_the_mean_over_flips_turns_with_the_scan():
    image, network = torch.randn(1, 2, 6, 4, 5), Looks().eval()
    flipped = WindowInferer([6, 4, 5], overlap=0, flips=["D", "W"])
    by_hand = sum(network(image.flip(axes)).flip(axes) for axes in ((), (2,), (4,), (2, 4))) / 4
    assert torch.allclose(flipped(image, network), by_hand, atol=1e-5)
    assert torch.allclose(flipped(image.flip(4), network).flip(4), by_hand, atol=1e-5)
    assert not torch.allclose(WindowInferer([6, 4, 5], overlap=0)(image, network), by_hand, atol=1e-5)


def test_a_threshold_outlines_where_the_share_of_a_structure_is_above_it():
    image, network = torch.randn(1, 2, 6, 4, 5), Looks().eval()
    plain = network(image).unflatten(1, (2, 3))
    found = WindowInferer([6, 4, 5], overlap=0, structures=2, threshold=0.2)(image, network).unflatten(1, (2, 3))
    share = plain[:, :, 1:].exp() / (plain[:, :, :1].exp() + plain[:, :, 1:].exp())
    assert torch.equal(found.argmax(dim=2) > 0, (share > 0.2).any(dim=2))
    assert torch.allclose(found[:, :, 2] - found[:, :, 1], plain[:, :, 2] - plain[:, :, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"threshold": 1.0}, r"threshold of an outline must lie in \(0, 1\), found 1.0"),
        ({"flips": ["D", "D"]}, r"different ones of D, H, W, found \[D, D\]"),
        ({"flips": ["x"]}, r"found \[x\]"),
    ],
)
def test_flips_and_threshold_are_checked(wrong, told):
    with pytest.raises(ValueError, match=told):
        WindowInferer([4, 4, 4], **wrong)


def test_a_mask_moves_with_its_image():
    torch.manual_seed(0)
    image = torch.zeros(4, 2, 20, 20, 20)
    image[:, :, 4:12, 6:12, 8:16] = 1
    mask = (image[:, :1] > 0).to(torch.uint8)
    mask = torch.cat([mask, torch.full_like(mask, 255)], dim=1)
    geometry = RandomGeometry(flip=[0.5] * 3, rotate=20.0, scale=0.1, translate=2.0)
    prepare = PrepareOutlined(AugmentBatch([geometry]))
    batch = {"image": image, "mask": mask, "present": torch.ones(4, 2, dtype=torch.bool)}
    moved, labels, _, optional = prepare(batch)
    assert not torch.equal(moved, image)
    assert labels.dtype == torch.uint8
    assert ((moved[:, 0] > 0.5) == (labels[:, 0] > 0)).float().mean() > 0.99
    assert (labels[:, 1] == 255).all()
    assert optional["present"].all()


def test_a_transform_that_would_leave_the_mask_behind_is_refused():
    with pytest.raises(ValueError, match="RandFlip would move the image and not its mask"):
        PrepareOutlined(AugmentBatch([RandFlip(prob=0.5)]))


def test_dice_is_that_of_monai_and_absent_masks_do_not_count():
    torch.manual_seed(0)
    outlined, drawn = torch.randint(0, 3, (2, 2, 5, 5, 5)).unbind()
    expected = DiceMetric(include_background=False)(
        *(nn.functional.one_hot(x, 3).movedim(-1, 1) for x in (outlined, drawn))
    )
    assert torch.allclose(case_dice(outlined, drawn, 2), expected)
    drawn[1] = 255
    assert case_dice(outlined, drawn, 2)[1].isnan().all()


def test_the_score_of_a_validation_is_the_mean_of_what_is_defined():
    score = DiceScore(structures=1)
    logits = torch.tensor([[0.0, 0.0], [-1.0, 1.0]])[:, None, None, :]  # the second voxel is outlined
    cases = [torch.tensor([[[[0, 1]]]]), torch.tensor([[[[1, 1]]]]), torch.tensor([[[[255, 255]]]])]
    score.update(score.of_output([{"pred": logits, "label": one} for one in cases]))
    assert score.compute() == pytest.approx((1 + 2 / 3) / 2)
    assert score.improved
