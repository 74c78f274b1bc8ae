# SPDX-License-Identifier: Apache-2.0
"""Reads weights files as tensors alone, and prepares the network on its device."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from scripts import engines, networks
from scripts.files.processes import process_count
from scripts.networks.calibration import Calibration, calibration_names
from scripts.networks.table_encoder import table_encoders
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_CODE = re.compile(r"GLOBAL|operand 149\b")
"""Found in the error of `torch.load` if a file holds more than tensors; 149 is the opcode STACK_GLOBAL."""


def load_tensors(path: str | Path) -> Any:
    """Read a file that `torch.save` wrote: tensors, numbers and texts. Code in the file is never run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights file {path} does not exist; train first, or give --bundle_root of a results folder"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _CODE.search(str(error)):
            raise _damaged(path, error) from None
        raise ValueError(
            f"weights file {path} must hold weights only, found code in it, which was not run; do not use "
            "the file, unless you know who made it and let them save a state dict"
        ) from None
    except Exception as error:  # every kind of damage raises another error
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"weights file {path} cannot be read ({type(error).__name__}): it is damaged or no such file; "
        "restore it, or train anew under another --name"
    )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a flat state dict, or the ``network``, ``state_dict`` or ``model`` entry of a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a state dict, is damaged, or holds code.
    """
    state = load_tensors(path)
    for entry in ("network", "state_dict", "model"):
        state = state.get(entry, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights file {path} must hold a flat state dict of tensors, found {type(state).__name__}")
    return state


def load_fitting(
    network: nn.Module, given: Mapping[str, Tensor], own: Mapping[str, Tensor], title: str, rest: str
) -> bool:
    """Load the tensors that fit by name and shape, and log how many did and which did not.

    Args:
        network: network that receives the tensors.
        given: tensors by name.
        own: tensors of the network that may be replaced.
        title: what is initialised from what, for the log.
        rest: words for the given tensors that are not used.

    Returns:
        Whether any weight fits (of two dimensions or more: a bias fits in networks of another kind by its length
        alone); if none does, nothing is loaded or logged.
    """
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not any(value.dim() > 1 for value in fitting.values()):
        return False
    network.load_state_dict(fitting, strict=False)
    logger.info("%s: %d of %d tensors", title, len(fitting), len(own))
    for kind, names in (
        ("kept as initialised", [name for name in own if name not in fitting]),
        (rest, [name for name in given if name not in fitting]),
    ):
        if names:
            logger.info("%s (%d): %s", kind, len(names), ", ".join(names))
    return True


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def with_calibration(network: nn.Module, state: dict[str, Tensor], path: str | Path) -> dict[str, Tensor]:
    """Add the network's calibration to a state dict of a version without calibration, and log that."""
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

    Weights of a version without calibration are accepted, with a line in the log. An `ExportedNetwork` loads the
    whole file.

    Raises:
        ValueError: the weights belong to another configuration; names the tensors that differ.
    """
    if callable(load := getattr(network, "load", None)):  # an exported network
        load(path)
        return
    given = read_weights(path)
    if hasattr(network, "deep_supervision"):
        given = networks.outline_network.without_supervision(network, given)
    state, own = with_calibration(network, given, path), network.state_dict()
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
    """Check, before any case is loaded, that the grid is not smaller than an encoder's minimum.

    Raises:
        ValueError: it is smaller; gives both sizes in voxels.
    """
    for module in network.modules():
        least = getattr(module, "min_size", None)
        if least is not None and any(size < limit for size, limit in zip(grid_size, least, strict=True)):
            raise ValueError(
                f"grid_size must be at least {list(least)} voxels for {type(module).__name__}, found "
                f"{list(grid_size)}; enlarge grid_size, with a finer spacing if the region is small"
            )


def fit_table(network: nn.Module, cases: Sequence[Mapping[str, Any]]) -> None:
    """Set the statistics of the clinical table from the cases, or warn that the network does not read it."""
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
    """Set the class frequencies of the network's calibration from the labelled cases, if there are any."""
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
    """Initialise a network and move it to its device, in channels-last memory format where that is faster.

    With several processes, its normalisation is synchronised (see `synchronise_normalisation`).

    Args:
        network: newly built network.
        device: where it will run.
        grid_size: size of its input volumes in voxels.
        start_weights: weights file to start from; the log lists tensors that do not fit. Clinical columns of the
            same name and unit also take over their statistics.
        cases: training cases, for the statistics of the clinical table and the class frequencies; None: they come
            with the weights.
        models: weights file to be loaded later, or a list of files: a list makes an `Ensemble` of as many copies
            of the network.
        runtime: what computes it: ``pytorch``, or the exported files that `models` names (see
            `scripts.networks.exported`).
        encoder_weights: file of an encoder's own weights, or ``medicalnet``, see `start_encoders`; loaded before
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
        network = networks.calibration.Ensemble([deepcopy(network) for _ in models])
    if process_count() > 1:
        network = engines.distributed.synchronise_normalisation(network, device)
    return channels_last(network.to(device))


def channels_last(network: nn.Module) -> nn.Module:
    """Convert the weights of 3D and 2D convolutions to channels-last memory format, which is faster; in place.

    Networks that outline stay as they are: their steps and windows take longer in it, on a CPU.
    It uses `Tensor.to`, as `Module.to` does: `contiguous` would leave a weight of one input channel unchanged,
    and torch would then choose another convolution, with other last digits.
    """
    if hasattr(network, "deep_supervision"):
        return network
    network.register_load_state_dict_pre_hook(_apart)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in [*network.parameters(), *network.buffers()]:
        if weight.dim() in formats:
            weight.data = weight.data.to(weight.device, memory_format=formats[weight.dim()])
    return network


def _apart(network: nn.Module, state: dict[str, Tensor], *_: Any) -> None:
    """Copy what is the network's own memory, seen in another format; torch refuses to copy it onto itself.

    A client of MONAI for federated learning hands out such weights, and is given them back.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    for name, tensor in state.items():
        if tensor.untyped_storage().data_ptr() in own:
            state[name] = tensor.clone()
