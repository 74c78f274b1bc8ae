# SPDX-License-Identifier: Apache-2.0
"""MONAI's random transforms in `augmentation`: a case at a time, as MONAI would, absent phases untouched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.transforms import (
    Compose,
    GaussianSmooth,
    OneOf,
    RandAdjustContrast,
    RandAffine,
    RandFlip,
    RandFlipd,
    RandGaussianNoise,
    RandGaussianNoised,
    RandGaussianSmooth,
    RandRotate90,
    RandScaleIntensity,
    RandSpatialCrop,
)
from scripts.engines.randomness import EpochSeed
from scripts.transforms.augment import SEEDS, AugmentBatch, RandomIntensity

MADE = {
    "noise": lambda: RandGaussianNoise(prob=0.7, std=0.3),
    "flip": lambda: RandFlip(prob=0.5, spatial_axis=[0, 2]),
    "smooth": lambda: RandGaussianSmooth(prob=0.7),
    "contrast": lambda: RandAdjustContrast(prob=0.7),
    "scale": lambda: RandScaleIntensity(factors=0.3, prob=0.7),
    "affine": lambda: RandAffine(prob=0.9, rotate_range=0.3, padding_mode="zeros"),
    "keyed": lambda: RandGaussianNoised(keys="image", prob=0.7, std=0.3),
    "composed": lambda: Compose([RandFlipd("image", prob=0.5), RandGaussianNoised(["image"], prob=0.5)]),
    "one of": lambda: OneOf([RandFlip(prob=1.0), RandGaussianNoise(prob=1.0)]),
    "not random": lambda: GaussianSmooth(sigma=1.0),
}
PRESENT = torch.tensor([[True, False, True], [True, True, True], [False, True, False], [True, False, False]])


@pytest.fixture
def image() -> torch.Tensor:
    """Four cases of three phases; absent ones are 0."""
    torch.manual_seed(0)
    return torch.rand(4, 3, 8, 7, 6) * PRESENT[..., None, None, None]


def alone(transform: Any, image: torch.Tensor, seed: int) -> torch.Tensor:
    """Return what MONAI's own transform gives for one image by one seed."""
    if hasattr(transform, "set_random_state"):
        transform.set_random_state(seed)
    keyed = isinstance(transform, RandGaussianNoised) or (
        type(transform) is Compose and hasattr(transform.transforms[0], "keys")
    )
    found = transform({"image": image})["image"] if keyed else transform(image)
    return torch.as_tensor(found)


@pytest.mark.parametrize("name", MADE)
def test_equal_to_the_transform_itself_case_by_case(image, name) -> None:
    before = image.clone()
    torch.manual_seed(3)
    found = AugmentBatch([MADE[name]()])(image, PRESENT)
    torch.manual_seed(3)
    seeds = torch.randint(SEEDS, (4,)).tolist()
    for case, shown, result, seed in zip(image, PRESENT, found, seeds, strict=True):
        assert torch.equal(result[shown], alone(MADE[name](), case[shown].clone(), seed))
    assert (found[~PRESENT] == 0).all()
    assert torch.equal(image, before), "the batch itself stays"
    assert type(found) is torch.Tensor
    assert found.dtype == image.dtype


@pytest.mark.parametrize("name", MADE)
def test_absent_phases_may_hold_anything_and_change_nothing(image, name) -> None:
    torch.manual_seed(3)
    expected = AugmentBatch([MADE[name]()])(image, PRESENT)
    torch.manual_seed(3)
    image[~PRESENT] = torch.nan
    found = AugmentBatch([MADE[name]()])(image, PRESENT)
    assert torch.equal(found[PRESENT], expected[PRESENT])
    assert found[~PRESENT].isnan().all()


@pytest.mark.parametrize("name", ["flip", "affine"])
def test_spatial_transforms_move_all_phases_of_a_case_alike_and_cases_differ(name) -> None:
    torch.manual_seed(1)
    image = torch.rand(1, 1, 8, 8, 8).repeat(8, 3, 1, 1, 1)
    moved = AugmentBatch([MADE[name]()])(image, torch.ones(8, 3, dtype=torch.bool))
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert torch.equal(moved[:, 0], moved[:, 2])
    assert (moved != moved[0]).any()


def test_views_of_an_absent_phase_are_absent(image) -> None:
    """Images of planes have the views of a phase as neighbouring channels."""
    planes = image.flatten(0, 1)[:, None].repeat(1, 4, 1, 1, 1)[:2]  # two cases, two phases of two views
    present = torch.tensor([[True, False], [False, True]])
    found = AugmentBatch([RandGaussianNoise(prob=1.0)])(planes, present)
    assert torch.equal(found[0, 2:], planes[0, 2:])
    assert torch.equal(found[1, :2], planes[1, :2])
    assert (found[0, :2] != planes[0, :2]).any()


@pytest.mark.parametrize("name", MADE)
def test_seed_and_epoch_give_one_result_whatever_came_before(image, name) -> None:
    def epoch(augment: AugmentBatch, seed: int, number: int) -> torch.Tensor:
        EpochSeed(seed)(SimpleNamespace(state=SimpleNamespace(epoch=number), data_loader=None))
        return torch.cat([augment(image, PRESENT) for _ in range(4)])

    through = AugmentBatch([MADE[name](), RandomIntensity(scale=0.1)])
    results = [epoch(through, 0, number) for number in (1, 2, 3)]
    resumed = AugmentBatch([MADE[name](), RandomIntensity(scale=0.1)])  # another process, from epoch 3 on
    assert torch.equal(epoch(resumed, 0, 3), results[2])
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(epoch(resumed, 1, 3), results[2])


def test_a_case_is_drawn_whatever_else_is_in_the_batch(image) -> None:
    torch.manual_seed(3)
    whole = AugmentBatch([MADE["noise"]()])(image, PRESENT)
    torch.manual_seed(3)
    fewer = PRESENT.clone()
    fewer[0] = False
    assert torch.equal(AugmentBatch([MADE["noise"]()])(image, fewer)[1:], whole[1:])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (RandSpatialCrop((4, 4, 4), random_size=False), r"RandSpatialCrop must keep the shape \[2, 8, 7, 6\], found"),
        (RandRotate90(prob=1.0), r"RandRotate90 must keep the shape \[2, 8, 7, 6\], found \[2, 7, 8, 6\]"),
        (RandFlip(prob=1.0, spatial_axis=5), r"RandFlip must take images of \[2, 8, 7, 6\], found: "),
    ],
)
def test_what_does_not_fit_is_one_line(image, transform, message) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=f"^augmentation: {message}.*; correct its settings, or leave it out$"):
        AugmentBatch([transform])(image, PRESENT)


def test_another_key_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"the keys of RandFlipd must be `image`, found label; correct `keys`"):
        AugmentBatch([RandFlipd(keys="label")])
