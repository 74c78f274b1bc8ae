# SPDX-License-Identifier: Apache-2.0
"""A training step on larger volumes, 8 cases x 3 phases x 64 voxels cubed, against MONAI's ResNet-10."""

from __future__ import annotations

from pathlib import Path

import torch
from monai.data import DataLoader
from monai.networks.nets import resnet10
from scripts.engines.inferer import PrepareBatch, has_fast_bf16
from torch import Tensor, nn

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.monai_pipeline import PipelineTraining, cached_loader
from benchmarks.performance.ours import CLASSES, DEVICE, PHASES, batch, build_model
from benchmarks.performance.timing import measure, seconds
from benchmarks.performance.training_step import InMemory

CASES, SIDE = 8, 64


class SharedResNet10(nn.Module):
    """MONAI's ResNet-10, the same for every phase; its concatenated features give the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = resnet10(spatial_dims=3, n_input_channels=1, feed_forward=False, num_classes=CLASSES)
        self.head = nn.Linear(512 * len(PHASES), CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """[B, P, D, H, W] -> logits [B, K]."""
        return self.head(self.encoder(image.flatten(0, 1).unsqueeze(1)).view(len(image), -1))


def measure_step(repeat: int, work: Path) -> Figures:
    """Return how many times faster the bundle's epoch of one step is, with augmentation on both sides."""
    torch.manual_seed(repeat)
    images, _, labels = batch(CASES, len(PHASES), SIDE, "cpu")
    resnet = SharedResNet10().to(DEVICE)
    adam = torch.optim.Adam(resnet.parameters())
    theirs = PipelineTraining(resnet, adam, cached_loader(images, labels, CASES))
    loader = DataLoader(InMemory(images, labels), batch_size=CASES)
    if DEVICE != "cpu":
        theirs.epoch()  # warm-up; on a CPU the step is so slow that it would not matter
    figures = {"monai_ms": 1000 * seconds(theirs.epoch)}
    for precision in ("fp32", "bf16") if has_fast_bf16(torch.device(DEVICE)) else ("fp32",):
        model = build_model(precision)
        training = PipelineTraining(
            model.network, model.optimizer, loader, model.loss, inferer=model.infer,
            prepare_batch=PrepareBatch(augmentation=model.augmentation), decollate=False,
        )  # fmt: skip
        (own,) = measure({precision: training.epoch}, rounds=1, steps=2).values()
        figures |= {f"{precision}_ms": own[0], precision: figures["monai_ms"] / own[0]}
    return figures


LARGE_STEP = Item(
    "large_step",
    (
        Figure("bf16", "bf16, against ResNet-10 in MONAI's pipeline", least=8.0),
        Figure("fp32", "fp32, against ResNet-10 in MONAI's pipeline"),
        Figure("monai_ms", "one step of ResNet-10", "ms", 0),
        Figure("bf16_ms", "one step, bf16", "ms", 0),
        Figure("fp32_ms", "one step, fp32", "ms", 0),
    ),
    measure_step,
)
