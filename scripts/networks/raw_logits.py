"""The logits of a network before its temperature divides them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class RawLogits:
    """Collects what goes into a network's calibration, one tensor per forward pass, until it is removed.

    Test-time augmentation passes a batch through the network several times; the passes are kept apart, since
    the average is taken of their probabilities, after the division.

    Args:
        network: with a `Calibration` as its attribute ``calibration``.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes: list[Tensor] = []
        self.handle = network.get_submodule("calibration").register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        self.passes.append(inputs[0].detach().float().cpu())

    def take(self) -> Tensor:
        """Return the passes since the last call, [B, V, K] for V passes of one batch, and forget them."""
        stacked = torch.stack(self.passes, dim=1)
        self.passes = []
        return stacked

    def remove(self) -> None:
        """Stop collecting."""
        self.handle.remove()
