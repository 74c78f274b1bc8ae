"""Loads the trained weights just before an evaluator runs."""

from __future__ import annotations

from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from .network import load_trained


class LoadWeights:
    """Loads a results folder's weights when the engine starts, and refuses those of another configuration.

    Args:
        network: the network that the engine runs.
        path: flat state dict, e.g. ``models/model.pt``.
    """

    def __init__(self, network: nn.Module, path: str | Path) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Load at the start of each run of `engine`."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, _: Engine) -> None:
        """Load the weights (see `load_trained`)."""
        load_trained(self.network, self.path)
