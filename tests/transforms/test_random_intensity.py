# SPDX-License-Identifier: Apache-2.0
"""Random intensities: one draw per phase, absent phases and padding untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scripts.transforms.augment import AugmentBatch, RandomIntensity
from scripts.transforms.geometry import RandomGeometry

ALL = RandomIntensity(scale=0.2, shift=0.3, noise=0.1, gamma=0.3)


@pytest.fixture
def image() -> torch.Tensor:
    """The same volume in every phase of every case; phase 1 is absent, the first plane is padding."""
    torch.manual_seed(0)
    volume = torch.randn(1, 1, 6, 7, 8)
    volume[:, :, 0] = 0
    batch = volume.repeat(4, 3, 1, 1, 1)
    batch[:, 1] = 0
    return batch


@pytest.fixture
def present() -> torch.Tensor:
    return torch.tensor([[True, False, True]] * 4)


@pytest.mark.parametrize("transform", [ALL, RandomIntensity(scale=0.2), RandomIntensity(noise=0.1)])
def test_phases_and_cases_differ_absent_phases_and_padding_stay_zero(image, present, transform) -> None:
    changed = transform(image, present)
    assert (changed[:, 1] == 0).all()
    assert (changed[:, :, 0] == 0).all()
    drawn = changed[:, [0, 2]].flatten(0, 1)
    assert all((a - b).abs().max() > 1e-3 for n, a in enumerate(drawn) for b in drawn[:n])
    assert torch.isfinite(changed).all()


def test_scale_and_shift_are_one_line_per_phase(image, present) -> None:
    changed = RandomIntensity(scale=0.2, shift=0.3)(image, present)
    for case in range(4):
        for phase in (0, 2):
            before, after = image[case, phase, 1:].flatten(), changed[case, phase, 1:].flatten()
            slope, offset = np.polyfit(before.numpy(), after.numpy(), 1)
            assert 0.8 <= slope <= 1.2
            assert -0.3 <= offset <= 0.3
            torch.testing.assert_close(after, float(slope) * before + float(offset), atol=1e-5, rtol=0)


def test_noise_has_the_drawn_deviation(present) -> None:
    torch.manual_seed(0)
    image = torch.ones(4, 3, 20, 20, 20)
    image[:, 1] = 0
    deviation = (RandomIntensity(noise=0.1)(image, present) - image)[:, [0, 2]].flatten(2).std(dim=2)
    assert (deviation < 0.105).all()
    assert deviation.max() > 0.05
    assert deviation.flatten().unique().numel() == 8


def test_gamma_keeps_sign_order_and_the_largest_value(image, present) -> None:
    changed = RandomIntensity(gamma=0.5)(image, present)
    before, after = image[0, 0, 1:].flatten(), changed[0, 0, 1:].flatten()
    assert torch.equal(before.sign(), after.sign())
    assert torch.equal(before.argsort(), after.argsort())
    assert after.abs().max().item() == pytest.approx(before.abs().max().item(), rel=1e-5)
    assert (after - before).abs().max() > 1e-2


def test_one_seed_gives_one_result_and_numpy_has_no_say(image, present) -> None:
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(ALL(image, present))
        np.random.random()  # noqa: NPY002 - the global generator, which MONAI's transforms draw from
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_probability(image, present) -> None:
    unchanged = RandomIntensity(0.2, 0.3, 0.1, 0.3, probability=0.0)(image, present)
    torch.testing.assert_close(unchanged, image, atol=1e-6, rtol=0)
    many, there = image[:, :1].repeat(50, 1, 1, 1, 1), torch.ones(200, 1, dtype=torch.bool)
    changed = RandomIntensity(scale=0.2, probability=0.3)(many, there)
    share = (changed != many).flatten(1).any(dim=1).float().mean()
    assert 0.2 < share < 0.4


def test_a_batch_goes_through_all_transforms_and_is_not_changed_in_place(image, present) -> None:
    before = image.clone()
    augment = AugmentBatch(transforms=[RandomGeometry(flip=(1.0, 0.0, 0.0)), RandomIntensity(scale=0.2)])
    changed = augment(image, present)
    assert torch.equal(image, before)
    assert (changed[:, :, -1] == 0).all()
    ratio = changed[0, 0, :-1] / image[0, 0].flip(0)[:-1]
    assert ratio.std() < 1e-3
    assert (changed[:, 1] == 0).all()


@pytest.mark.parametrize("settings", [{"scale": 1.0}, {"noise": -0.1}, {"probability": 2.0}, {"gamma": -1.0}])
def test_settings(settings: dict) -> None:
    with pytest.raises(ValueError, match="RandomIntensity"):
        RandomIntensity(**settings)
