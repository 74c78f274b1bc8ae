# SPDX-License-Identifier: Apache-2.0
"""MONAI's standard training pipeline: cached items, dictionary random transforms, workers, its trainer.

CacheDataset, a DataLoader with 2 workers, SupervisedTrainer with its defaults, float32. The random transforms
are of the kinds and strengths of `configs/train.yaml`: flips, one affine for all phases, gain, offset, noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedTrainer
from monai.transforms import (
    Compose,
    ConcatItemsd,
    EnsureTyped,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from torch import Tensor, nn

from benchmarks.performance.ours import PHASES

WORKERS = 2


def random_transforms() -> Compose:
    """Return the random transforms from cached volumes, one key per phase, to one image."""
    turn = (math.radians(15.0),) * 3
    flips = [RandFlipd(PHASES, prob=0.5, spatial_axis=axis) for axis in range(3)]
    affine = RandAffined(
        PHASES, prob=1.0, rotate_range=turn, translate_range=(2, 2, 2), scale_range=(0.1, 0.1, 0.1),
        mode="bilinear", padding_mode="zeros",
    )  # fmt: skip
    intensity = [
        step
        for phase in PHASES  # each phase by itself
        for step in (
            RandScaleIntensityd([phase], factors=0.05, prob=1.0),
            RandShiftIntensityd([phase], offsets=0.05, prob=1.0),
            RandGaussianNoised([phase], prob=1.0, std=0.05),
        )
    ]
    return Compose([EnsureTyped(PHASES), *flips, affine, *intensity, ConcatItemsd(PHASES, name="image")])


def cached_loader(images: Tensor, labels: Tensor, batch_size: int) -> DataLoader:
    """Return the loader of shuffled, augmented batches of prepared cases [N, 3, D, H, W]."""
    items = [
        {**{phase: image[p : p + 1] for p, phase in enumerate(PHASES)}, "label": int(label)}
        for image, label in zip(images, labels, strict=True)
    ]
    dataset = CacheDataset(items, random_transforms(), progress=False)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=WORKERS)


class PipelineTraining:
    """A training whose epochs can be run one at a time.

    Args:
        network: any network that takes one image.
        optimizer: of its parameters.
        loader: of batches with ``image`` and ``label``.
        **trainer: further arguments of MONAI's trainer, such as its inferer.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loader: Any,
        loss: Callable[..., Tensor] | None = None,
        **trainer: Any,
    ) -> None:
        self.trainer = SupervisedTrainer(
            device=next(network.parameters()).device,
            max_epochs=1,
            train_data_loader=loader,
            network=network,
            optimizer=optimizer,
            loss_function=loss or nn.CrossEntropyLoss(),
            **trainer,
        )

    def epoch(self) -> None:
        """Train for one epoch more."""
        self.trainer.run()
