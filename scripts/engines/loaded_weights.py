"""Loads the trained weights just before an evaluator runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from .network import load_trained


class LoadWeights:
    """Loads a results folder's weights when the engine starts, and refuses those of another configuration.

    Args:
        network: the network that the engine runs.
        path: flat state dict, e.g. ``models/model.pt``; of an `Ensemble`, one for each member.
    """

    def __init__(self, network: nn.Module, path: str | Path | Sequence[str]) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Load at the start of each run of `engine`."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, _: Engine) -> None:
        """Load the weights (see `load_trained`)."""
        if isinstance(self.path, str | Path):
            load_trained(self.network, self.path)
            return
        members: Iterable[nn.Module] = self.network.get_submodule("members").children()
        for member, path in zip(members, self.path, strict=True):
            load_trained(member, path)
