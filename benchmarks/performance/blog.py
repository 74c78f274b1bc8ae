# SPDX-License-Identifier: Apache-2.0
"""The network of the blog post from which the project started, rebuilt from its layer sizes, and its plain loop.

One tower per phase (3 x 3 x 3 convolutions 1 to 32 and 32 to 64 channels, each with batch normalisation, ReLU
and pooling; dense layers 21952, 500, 50), concatenated, 150 to 50 to the classes, float32, plain SGD. It fits
28 x 28 x 28 voxels only. Two things are improved, at no cost in time: logits instead of a softmax before
the cross-entropy, and a learning rate at which it learns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.performance.timing import Step

SIDE = 28
LEARNING_RATE = 0.01
"""The blog's own rate, 0.0003, is for 200 epochs."""


def tower() -> nn.Sequential:
    """One tower: [B, 1, 28, 28, 28] -> [B, 50]."""
    layers: list[nn.Module] = []
    for before, after in ((1, 32), (32, 64)):
        layers += [nn.Conv3d(before, after, 3, padding="same"), nn.BatchNorm3d(after)]
        layers += [nn.ReLU(), nn.MaxPool3d(2)]
    layers += [nn.Flatten(), nn.Linear(64 * 7**3, 500), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(500, 50), nn.ReLU()]
    return nn.Sequential(*layers)


class BlogNetwork(nn.Module):
    """Three separate towers, concatenated."""

    def __init__(self, phases: int = 3, classes: int = 2) -> None:
        super().__init__()
        self.towers = nn.ModuleList(tower() for _ in range(phases))
        self.head = nn.Sequential(nn.Linear(50 * phases, 50), nn.ReLU(), nn.Linear(50, classes))

    def forward(self, image: Tensor) -> Tensor:
        """[B, P, 28, 28, 28] -> logits [B, K]."""
        return self.head(torch.cat([t(image[:, p : p + 1]) for p, t in enumerate(self.towers)], dim=1))


def blog_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """Return the blog's optimiser."""
    return torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)


def plain_step(network: nn.Module, optimizer: torch.optim.Optimizer, image: Tensor, label: Tensor) -> None:
    """Do one step of a plain loop in float32: forward, loss, backward, optimiser."""
    optimizer.zero_grad(set_to_none=True)
    functional.cross_entropy(network(image), label).backward()
    optimizer.step()


def blog_step(image: Tensor, label: Tensor) -> Step:
    """Return the blog's step on a batch."""
    network = BlogNetwork(image.shape[1]).to(image.device).train()
    optimizer = blog_optimizer(network)
    return lambda: plain_step(network, optimizer, image, label)
