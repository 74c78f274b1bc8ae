"""The vector that a network reads the classes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.passes import Passes, Read


class FusedFeatures:
    """Collects the fused features of every case that passes through a network, until it is removed.

    * A network with a last layer (its attribute ``head``): what enters it, [B, F].
    * Fusion of decisions (its attribute ``combination``), where no vector is fused: the probabilities that
      each phase alone gives, side by side, F = M K; an absent phase has 1 / K for each class.
    * An ensemble: the features of its members side by side; a hybrid: those of its levels.
    * Any other network, as the clinical table alone: none.

    Args:
        network: in eval mode when cases pass.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes = Passes(network, _part)

    def take(self) -> Tensor | None:
        """Return the features [B, F] of the cases since the last call, the mean over several views of a case.

        None: the network has none.
        """
        found = self.passes.take()
        return torch.cat(found, dim=1) if found else None

    def remove(self) -> None:
        """Stop collecting."""
        self.passes.remove()


def _part(network: nn.Module) -> tuple[nn.Module, Read] | None:
    for name, read in (("combination", _phase_probabilities), ("head", _input)):
        module = getattr(network, name, None)
        if isinstance(module, nn.Module):
            return module, read
    return None


def _input(inputs: tuple[Any, ...], _: Any) -> Tensor:
    return inputs[0]


def _phase_probabilities(inputs: tuple[Any, ...], output: Any) -> Tensor:
    phase_logits, present = inputs
    said = output[1].get("phase_logits", phase_logits).softmax(dim=2)
    uniform = torch.full_like(said, 1 / said.shape[2])
    return torch.where(present.unsqueeze(2), said, uniform).flatten(1)
