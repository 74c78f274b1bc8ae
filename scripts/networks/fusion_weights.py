"""How much a fusion let each phase count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.passes import Passes, Read


class FusionWeights:
    """Collects the ``weights`` that a fusion gives to the tokens of every case, until it is removed.

    The fusion is the network's attribute ``fusion``, or ``combination`` where decisions are fused. The
    weights of an ensemble are the mean of its members'.

    Args:
        network: in eval mode when cases pass.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes = Passes(network, _part)

    def take(self) -> Tensor | None:
        """Return the weights [B, M] of the cases since the last call, the mean over several views of a case.

        None: the strategy gives no weights.
        """
        found = self.passes.take()
        return torch.stack(found).mean(dim=0) if found else None

    def remove(self) -> None:
        """Stop collecting."""
        self.passes.remove()


def _part(network: nn.Module) -> tuple[nn.Module, Read] | None:
    for name in ("combination", "fusion"):
        module = getattr(network, name, None)
        if isinstance(module, nn.Module):
            return module, _weights
    return None


def _weights(_: tuple[Any, ...], output: Any) -> Tensor | None:
    return output[1].get("weights")
