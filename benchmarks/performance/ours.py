# SPDX-License-Identifier: Apache-2.0
"""The bundle's own side of every comparison: what `configs/train.yaml` trains, built from that file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from scripts.engines.inferer import PhaseInferer
from scripts.engines.network import channels_last
from torch import Tensor, nn

from benchmarks.performance.timing import Step

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PHASES = ("pre", "arterial", "portal")
CLASSES = 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def settings(overrides: Mapping[str, Any] | None = None, fragments: Sequence[str] = ()) -> ConfigParser:
    """Read the configuration of a training, without any data.

    Args:
        overrides: keys and their values.
        fragments: overlays, as paths within `configs`.
    """
    parser = ConfigParser()
    parser.read_config(CONFIGS / "train.yaml")
    for fragment in fragments:
        parser.update(ConfigParser.load_config_file(CONFIGS / fragment))
    fixed = {"phases": list(PHASES), "num_classes": CLASSES, "criterion#class_counts": None, "columns": []}
    parser.update({**fixed, **(overrides or {})})
    return parser


@dataclass
class Model:
    """A network with all that one training step needs.

    Attributes:
        network: in training mode, on its device.
        loss: of the network's output and the labels.
        optimizer: as configured.
        infer: runs the network, with its precision and memory format.
        augmentation: called as ``augmentation(image, present)``.
    """

    network: nn.Module
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    infer: PhaseInferer
    augmentation: Callable[[Tensor, Tensor], Tensor]

    def step(self, image: Tensor, present: Tensor, label: Tensor, augment: bool = False) -> None:
        """Do one step: augmentation if asked, forward, loss, backward, optimiser."""
        self.optimizer.zero_grad(set_to_none=True)
        seen = self.augmentation(image, present) if augment else image
        self.loss(self.infer(seen, self.network, present=present), label).backward()
        self.optimizer.step()


def build_model(precision: str = "auto", overrides: Mapping[str, Any] | None = None, device: str = DEVICE) -> Model:
    """Build the network, loss, optimiser and augmentation of a training.

    Args:
        precision: of the forward pass, as in train.yaml.
        overrides: keys and their values.
        device: where it runs.
    """
    parser = settings(overrides)
    network = channels_last(parser.get_parsed_content("network_def").to(device)).train()
    rate, decay = parser["learning_rate"], parser["weight_decay"]
    return Model(
        network,
        parser.get_parsed_content("loss"),
        torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay),
        PhaseInferer(precision),
        parser.get_parsed_content("augmentation"),
    )


def batch(cases: int, phases: int, side: int, device: str = DEVICE) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch of noise with all phases present: image, present, label."""
    draw = torch.Generator().manual_seed(0)
    image = torch.rand((cases, phases, side, side, side), generator=draw)
    label = torch.randint(CLASSES, (cases,), generator=draw)
    return image.to(device), torch.ones(cases, phases, dtype=torch.bool, device=device), label.to(device)


def our_step(image: Tensor, present: Tensor, label: Tensor, precision: str = "auto") -> Step:
    """Return the step of the default network on a batch."""
    phases = [f"phase{p}" for p in range(image.shape[1])]
    model = build_model(precision, {"phases": phases}, device=str(image.device))
    return lambda: model.step(image, present, label)
