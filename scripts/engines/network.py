"""Puts the network on its device and, if asked, starts it from a weights file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scripts import engines, networks  # parts that few runs need are imported where they do
from scripts.engines.weights import read_weights
from scripts.files.processes import process_count
from scripts.networks.calibration import Calibration, calibration_names
from scripts.networks.table_encoder import table_encoders

logger = logging.getLogger(__name__)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def with_calibration(network: nn.Module, state: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Complete a state dict from before models were calibrated with what the network has, and log that."""
    own = network.state_dict()
    lacking = {name: own[name] for name in calibration_names(network) if name not in state}
    if lacking:
        logger.info(
            "%s is from before models were calibrated (no %s): its probabilities are taken as they are",
            path, ", ".join(sorted(lacking)),
        )  # fmt: skip
    return state | lacking


def load_trained(network: nn.Module, path: str | Path) -> None:
    """Load weights that were trained with exactly this configuration.

    Weights from before models were calibrated are loaded, too, with one line in the log. An `ExportedNetwork`
    takes the whole file.

    Raises:
        ValueError: naming the tensors that differ, when the weights belong to another configuration.
    """
    if callable(load := getattr(network, "load", None)):  # of an exported one
        load(path)
        return
    state, own = with_calibration(network, read_weights(path), path), network.state_dict()
    differing = [f"{name} is missing" for name in own if name not in state]
    differing += [f"{name} is unknown to the network" for name in state if name not in own]
    differing += [
        f"{name} is {_shape(state[name])} but the network has {_shape(own[name])}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if differing:
        shown = "; ".join(differing[:4]) + (f"; and {len(differing) - 4} more" if len(differing) > 4 else "")
        raise ValueError(
            f"weights file {path} was trained with another configuration: {shown}; "
            "give the configuration files and --bundle_root of the same results folder"
        )
    network.load_state_dict(state)


def check_grid(network: nn.Module, grid_size: Sequence[int]) -> None:
    """Raise before any case is loaded when the grid is smaller than an encoder's minimum.

    Raises:
        ValueError: with both sizes in voxels.
    """
    for module in network.modules():
        least = getattr(module, "min_size", None)
        if least is not None and any(size < limit for size, limit in zip(grid_size, least, strict=True)):
            raise ValueError(
                f"grid_size must be at least {list(least)} voxels for {type(module).__name__}, found "
                f"{list(grid_size)}; enlarge grid_size, with a finer spacing if the region is small"
            )


def fit_table(network: nn.Module, cases: Sequence[Mapping[str, Any]]) -> None:
    """Set the statistics of the clinical table to those of the cases, or warn that it is not read."""
    encoders = table_encoders(network)
    for encoder in encoders:
        encoder.fit(cases)
    names = sorted({name for case in cases for name in case.get("clinical", {})})
    if names and not encoders:
        logger.warning(
            "%s does not read the clinical table (%s); choose another strategy to use it",
            type(network).__name__, ", ".join(names),
        )  # fmt: skip


def fit_prior(network: nn.Module, cases: Sequence[Mapping[str, Any]]) -> None:
    """Set the class frequencies that the network carries to those of the cases, if there are any."""
    labels = [case["label"] for case in cases if "label" in case]
    for module in network.modules():
        if isinstance(module, Calibration) and labels:
            module.fit_prior(labels)


def place_network(
    network: nn.Module,
    device: torch.device | str,
    grid_size: Sequence[int],
    start_weights: str | Path | None = None,
    cases: Sequence[Mapping[str, Any]] | None = None,
    models: str | Sequence[str] = "",
    runtime: str = "pytorch",
    encoder_weights: str | Path | None = None,
) -> nn.Module:
    """Move a network to its device in channels-last memory format, its normalisation over all processes.

    Args:
        network: freshly built network.
        device: where it will run.
        grid_size: voxels of the volumes that it will see.
        start_weights: weights file to start from; tensors that do not fit are listed in the log. Clinical
            columns of the same name and unit also take over their statistics.
        cases: training cases, for the statistics of the clinical table and the class frequencies; None: they
            come with the weights.
        models: weights file that it will be given, or the files of an ensemble: several make an `Ensemble`
            of as many copies of the network.
        runtime: what computes it: PyTorch, or the exported files that are given as `models` (see
            `networks.exported`).
        encoder_weights: file of an encoder's own weights, or ``medicalnet``, see `start_encoders`; before
            `start_weights`.
    """
    check_grid(network, grid_size)
    if cases is not None:
        fit_table(network, cases)
        fit_prior(network, cases)
    if encoder_weights:
        engines.pretrained.start_encoders(network, encoder_weights)
    if start_weights:
        engines.pretrained.start_from(network, start_weights)
    if runtime != "pytorch":
        network = networks.exported.EXPORTED[runtime]()
    if not isinstance(models, str):
        network = networks.ensemble.Ensemble([deepcopy(network) for _ in models])
    if process_count() > 1:
        network = engines.distributed.synchronise_normalisation(network, device)
    return channels_last(network.to(device))


def channels_last(network: nn.Module) -> nn.Module:
    """Lay out the weights of 3D and 2D convolutions with the channels last, which is faster; in place.

    By `Tensor.to`, as `Module.to` does: `contiguous` leaves a weight of one input channel as it is, whose
    convolution is then another one, with other last digits.
    """
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in [*network.parameters(), *network.buffers()]:
        if weight.dim() in formats:
            weight.data = weight.data.to(weight.device, memory_format=formats[weight.dim()])
    return network
