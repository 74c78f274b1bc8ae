"""Loads trained weights: of one model, or of several (one per fold, say) that predict together."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from scripts import engines, networks
from scripts.engines.network import load_trained
from scripts.files.plain_text import listing
from scripts.files.run_folder import at_work
from scripts.files.workbench import from_workbench

logger = logging.getLogger(__name__)

SUFFIXES = {"pytorch": ".pt", "torchscript": ".ts", "onnx": ".onnx"}
"""What computes a network -> the end of the name of its file."""


def ensemble_folders(ensemble: str | Sequence[str]) -> list[str]:
    """Return the folders that an ensemble names, in order.

    Args:
        ensemble: results folders, or patterns of them such as ``results/cmp/jobs/concat_*``.

    Raises:
        FileNotFoundError: a name that no folder has.
    """
    names = [ensemble] if isinstance(ensemble, str) else list(ensemble)
    folders: list[str] = []
    for name in names:
        found = sorted(folder for folder in glob.glob(str(name)) if Path(folder).is_dir())
        if not found:
            raise FileNotFoundError(
                f"`ensemble` must name results folders, found none at {name} (seen from {Path.cwd()})"
            )
        folders += found
    return list(dict.fromkeys(folders))


def model_files(
    bundle_root: str | Path,
    ensemble: str | Sequence[str] = (),
    runtime: str = "pytorch",
    trust: bool = False,
) -> str | list[str]:
    """Return the model file of a trained bundle, or those of all members of an ensemble, each verified.

    One line warns of a folder whose training has not ended: its model may change while it is used.

    Args:
        bundle_root: folder of the bundle.
        ensemble: as in `ensemble_folders`; empty: one model.
        runtime: what computes the network: a name of `SUFFIXES`.
        trust: only warn of a member that `require_verified` refuses.

    Raises:
        ValueError: an unknown runtime, or a member from elsewhere with more than the bundle's own code.
    """
    if runtime not in SUFFIXES:
        raise ValueError(f"`runtime` must be one of {listing(str(runtime), SUFFIXES)}, found {runtime!r}")
    folders = ensemble_folders(ensemble) if ensemble else [str(bundle_root)]
    for folder in folders if ensemble else ():
        if verify := from_workbench("verify.folder"):
            verify.require_verified(folder, trust)
        elif not trust and not engines.trained.is_recorded(folder):
            raise ValueError(
                f"{folder} must be a folder that you trained: one from elsewhere is verified by the folder "
                "workbench beside scripts, found none; go on with --trust true if you know who made it"
            )
    for folder in folders:
        if who := at_work(folder):
            logger.warning("%s: %s is at work or was killed; its model so far is used", folder, who)
    files = [f"{folder}/models/model{SUFFIXES[runtime]}" for folder in folders]
    return files if ensemble else files[0]


def load_members(network: nn.Module, paths: Sequence[str | Path]) -> None:
    """Load the weights of each member of an ensemble, and say at which threshold it decides."""
    members = list(network.get_submodule("members").children())
    for member, path in zip(members, paths, strict=True):
        load_trained(member, path)
    if not isinstance(network, networks.ensemble.Ensemble):
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
