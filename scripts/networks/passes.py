"""What a part of a network said in each forward pass, without asking the network to return it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.ensemble import Ensemble
from scripts.networks.hybrid import HybridNetwork

Read = Callable[[tuple[Any, ...], Any], Tensor | None]
"""From the inputs and the output of a part to one tensor [B, ...], or None where there is nothing to read."""


class Passes:
    """Collects one tensor per forward pass of one part of a network, or of each member or level of it.

    Test-time augmentation passes a batch through the network several times. As it averages the probabilities
    of these passes, what was collected is averaged, too.

    Args:
        network: the network, an `Ensemble`, or a `HybridNetwork` of several levels.
        part: from the network, or from each member or level, to the part and how it is read; None: it has
            none.
    """

    def __init__(
        self, network: nn.Module, part: Callable[[nn.Module], tuple[nn.Module, Read] | None]
    ) -> None:
        parts = [found for member in _networks(network) if (found := part(member)) is not None]
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


def _networks(network: nn.Module) -> list[nn.Module]:
    """Return the members of an ensemble, the levels of a hybrid, or the network itself."""
    if isinstance(network, Ensemble):
        return [found for member in network.members for found in _networks(member)]
    if isinstance(network, HybridNetwork):
        return [found for level in network.levels for found in _networks(level)]
    return [network]
