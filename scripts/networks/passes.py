"""What a part of a network said in each forward pass, without asking the network to return it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.ensemble import Ensemble

Read = Callable[[tuple[Any, ...], Any], Tensor | None]
"""From the inputs and the output of a part to one tensor [B, ...], or None where there is nothing to read."""


class Passes:
    """Collects one tensor per forward pass of one part of a network, or of each member of an ensemble.

    Test-time augmentation passes a batch through the network several times. As it averages the probabilities
    of these passes, what was collected is averaged, too.

    Args:
        network: the network, or an `Ensemble`.
        part: from the network, or from each member, to the part and how it is read; None: it has none.
    """

    def __init__(
        self, network: nn.Module, part: Callable[[nn.Module], tuple[nn.Module, Read] | None]
    ) -> None:
        members = list(network.members) if isinstance(network, Ensemble) else [network]
        parts = [found for member in members if (found := part(member)) is not None]
        self.passes: list[list[Tensor]] = [[] for _ in parts]
        self.handles = [
            module.register_forward_hook(self._keep(passes, read))
            for passes, (module, read) in zip(self.passes, parts, strict=True)
        ]

    @staticmethod
    def _keep(passes: list[Tensor], read: Read) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            found = read(inputs, output)
            if found is not None:
                passes.append(found.detach().float().cpu())

        return hook

    def take(self) -> list[Tensor]:
        """Return the mean over the passes since the last call, [B, ...] for each member, and forget them."""
        found = [torch.stack(passes).mean(dim=0) for passes in self.passes if passes]
        for passes in self.passes:
            passes.clear()
        return found

    def remove(self) -> None:
        """Stop collecting."""
        for handle in self.handles:
            handle.remove()
