"""How much each token of a case looked at each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scripts.networks.passes import Passes, Read

KINDS = ("attention", "self_attention", "cross_attention")
"""What fusions call their attention, [B, H, M, M], or [B, H, M] of one class token."""


class AttentionMaps:
    """Collects the attention of a fusion over tokens, the mean of its heads, until it is removed.

    Of an ensemble it is the mean over the members.

    Args:
        network: in eval mode when cases pass.
    """

    def __init__(self, network: nn.Module) -> None:
        self.passes = {kind: Passes(network, _part(kind)) for kind in KINDS}

    def take(self) -> dict[str, Tensor]:
        """Return {kind: [B, Q, M]} of the cases since the last call, NaN where either token is absent.

        Q is M, or 1 for a class token. With several views of a case, by test-time augmentation, the mean.
        """
        found = {kind: passes.take() for kind, passes in self.passes.items()}
        return {kind: torch.stack(maps).mean(dim=0) for kind, maps in found.items() if maps}

    def remove(self) -> None:
        """Stop collecting."""
        for passes in self.passes.values():
            passes.remove()


def _part(kind: str) -> Any:
    def part(network: nn.Module) -> tuple[nn.Module, Read] | None:
        fusion = getattr(network, "fusion", None)
        return (fusion, _read(kind)) if isinstance(fusion, nn.Module) else None

    return part


def _read(kind: str) -> Read:
    def read(inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        attention = output[1].get(kind)
        if attention is None:
            return None
        present = inputs[1]
        mean = attention.float().mean(dim=1)
        if mean.dim() == 2:  # of one class token, which is always there
            return torch.where(present, mean, torch.nan).unsqueeze(1)
        return torch.where(present.unsqueeze(1) & present.unsqueeze(2), mean, torch.nan)

    return read
