"""Loads the trained weights just before an evaluator runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from scripts.networks import Ensemble

from .network import load_trained

logger = logging.getLogger(__name__)


def load_members(network: nn.Module, paths: Sequence[str | Path]) -> None:
    """Load the weights of each member of an ensemble, and say at which threshold it decides."""
    members = list(network.get_submodule("members").children())
    for member, path in zip(members, paths, strict=True):
        load_trained(member, path)
    if not isinstance(network, Ensemble):
        return
    network.combine_calibrations()
    if len(network.calibration.prior) == 2:
        each = ", ".join(f"{float(member.get_buffer('calibration.threshold')):.3f}" for member in members)
        mean = float(network.calibration.threshold)
        logger.info("threshold of the ensemble: %.3f, the mean of its members' (%s)", mean, each)


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
        load_members(self.network, self.path)
