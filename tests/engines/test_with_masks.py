# SPDX-License-Identifier: Apache-2.0
"""Batches with masks: the images are those of a training without, and masks move with them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from monai.transforms import RandFlip
from scripts.engines.inferer import PrepareBatch
from scripts.engines.with_masks import MaskTraining, PrepareMasked
from scripts.networks import PhaseFusionNetwork
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.fusion import Mean
from scripts.networks.with_masks import WithMasks
from scripts.transforms.augment import AugmentBatch, PhaseDropout, RandomIntensity
from scripts.transforms.geometry import RandomGeometry


def batch() -> dict[str, torch.Tensor]:
    image = torch.zeros(6, 2, 20, 20, 20)
    image[:, :, 4:12, 6:12, 8:16] = 1
    mask = (image[:, :1] > 0).to(torch.uint8)
    mask[5] = 255
    present = torch.ones(6, 2, dtype=torch.bool)
    return {"image": image, "mask": mask, "present": present, "label": torch.arange(6) % 2}


@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_images_are_exactly_those_of_a_training_without_masks_and_masks_lie_on_them(probability):
    flip = [0.5 * (probability == 1)] * 3
    geometry = RandomGeometry(flip=flip, rotate=20.0, scale=0.1, translate=2.0, probability=probability)
    intensity = RandomIntensity(scale=0.1, shift=0.1)
    found = []
    for kind in (PrepareBatch, PrepareMasked):
        torch.manual_seed(0)
        prepare = kind(AugmentBatch([geometry, intensity]), phase_dropout=PhaseDropout(0.3))
        found.append((prepare(batch()), torch.rand(1)))
    (plain, after), (masked, after_masked) = found
    assert torch.equal(plain[0], masked[0])
    assert torch.equal(plain[3]["present"], masked[3]["present"])
    assert torch.equal(after, after_masked)
    assert (prepare.mask[5] == 255).all()
    torch.manual_seed(0)
    geometry_alone = geometry(batch()["image"])
    agree = ((prepare.mask[:5] > 0) == (geometry_alone[:5, :1] > 0.5)).float().mean()
    assert agree > 0.98


def test_what_would_move_an_image_without_its_mask_is_refused():
    with pytest.raises(ValueError, match="RandFlip would move the image and not its mask"):
        PrepareMasked(AugmentBatch([RandFlip(prob=1.0)]))
    with pytest.raises(ValueError, match="must be an AugmentBatch"):
        PrepareMasked(lambda image, present: image)
    removal = SimpleNamespace(early=True, hides="file", alike=True)
    with pytest.raises(ValueError, match="--phase_dropout_hides scale"):
        PrepareMasked(removal=removal)


def test_a_training_that_leaves_a_part_out_does_not_begin():
    network = WithMasks(PhaseFusionNetwork(ResidualEncoder, Mean, num_phases=2, num_classes=2))
    every = torch.optim.AdamW(network.parameters())
    MaskTraining(network, every)(SimpleNamespace(network=network))
    with pytest.raises(ValueError, match="an optimiser without training_only"):
        MaskTraining(network, torch.optim.AdamW(network.network.parameters()))(SimpleNamespace(network=network))
    with pytest.raises(ValueError, match="a trainer of another network"):
        MaskTraining(network, every)(SimpleNamespace(network=network.network))
