# SPDX-License-Identifier: Apache-2.0
"""Initialises a network, its encoders or its clinical table from weights that were trained before."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from scripts.engines.network import load_fitting, read_weights
from scripts.engines.running import running_config, running_parser
from scripts.files.yaml_files import read_yaml
from scripts.networks.calibration import calibration_names
from scripts.networks.encoders.monai_vit import MonaiViTEncoder
from scripts.networks.encoders.residual import ResidualEncoder
from scripts.networks.encoders.stages import StagedEncoder
from scripts.networks.table_encoder import TableEncoder
from torch import Tensor, nn

logger = logging.getLogger(__name__)

MEDICALNET = "medicalnet"


def start_from(network: nn.Module, path: str | Path) -> None:
    """Copy the tensors of a weights file that fit by name and shape, and log those that do not.

    The calibration is left out: it belongs to a finished model, and this one is about to change. Tensors of
    clinical columns are matched by name and unit (see `start_tables`). A warning is logged if phases or classes
    differ from those of the weights, since their tensors are matched by position.

    Raises:
        ValueError: no tensor fits.
    """
    skipped = calibration_names(network) | table_tensors(network)
    given = read_weights(path)
    state = {name: value for name, value in given.items() if name not in skipped}
    own = {name: value for name, value in network.state_dict().items() if name not in skipped}
    if not load_fitting(network, state, own, f"started from {path}", "in the file but not used"):
        raise ValueError(f"weights file {path} has no tensor that fits this network by name and shape")
    start_tables(network, given, path)
    before, now = trained_config(path), running_config() if running_parser() is not None else {}
    for key, what in (("phases", "per phase"), ("classes", "per class")):
        if key in before and key in now and list(before[key]) != list(now[key]):
            logger.warning(
                "start weights %s were trained with the %s %s, here they are %s: weights %s that fit are "
                "taken by their position", path, key, before[key], now[key], what,
            )  # fmt: skip


def start_encoders(network: nn.Module, source: str | Path) -> None:
    """Copy weights into every encoder of a network, and log which tensors did not fit by name and shape.

    Names are those of MONAI's own network (``layer1.0.conv1.weight``), with or without the prefix ``module.``.
    If the encoder reads one grey channel, a first convolution for colour images is summed over its three
    colours, which gives the same output for a grey image.

    Args:
        network: network with encoders of this bundle.
        source: a weights file, or ``medicalnet``, which MONAI downloads (3D ResNets; needs the internet and
            requirements-pretrained.txt).

    Raises:
        FileNotFoundError: no such file.
        ValueError: no encoder, no tensor that fits, or weights that cannot be downloaded.
    """
    kinds = (StagedEncoder, MonaiViTEncoder, ResidualEncoder)
    encoders = {name: module for name, module in network.named_modules() if isinstance(module, kinds)}
    if not encoders:
        raise ValueError(f"encoder_weights: {type(network).__name__} has no encoder for these weights; leave them out")
    files: dict[str, dict[str, Tensor]] = {}
    for name, encoder in encoders.items():
        title = str(getattr(encoder, "model", type(encoder).__name__))
        if title not in files:
            files[title] = _medicalnet(title) if str(source) == MEDICALNET else read_weights(source)
        _start(encoder, files[title], f"{name} ({title})", source)


def _start(encoder: nn.Module, state: dict[str, Tensor], name: str, source: str | Path) -> None:
    target = encoder if isinstance(encoder, ResidualEncoder) else encoder.get_submodule("net")
    own = target.state_dict()
    given = {key.removeprefix("module."): value for key, value in state.items()}
    given = {key: _grey(value, own.get(key)) for key, value in given.items()}
    if not load_fitting(target, given, own, f"{name} started from {source}", "in the weights but not used"):
        raise ValueError(
            f"encoder_weights: {source} has no tensor that fits {name} by name and shape; its names "
            f"begin with {next(iter(given), 'nothing')}, those of the encoder with {next(iter(own))}"
        )


def _grey(value: Tensor, own: Tensor | None) -> Tensor:
    """Sum the weights of a convolution over three colours if the encoder has one channel in their place."""
    if (
        own is None
        or own.dim() < 4
        or own.shape[1] != 1
        or value.shape[:1] + value.shape[2:] != own.shape[:1] + own.shape[2:]
    ):
        return value
    return value.sum(dim=1, keepdim=True) if value.shape[1] == 3 else value


def _medicalnet(model: str) -> dict[str, Tensor]:
    """Download MedicalNet's weights of a 3D ResNet with MONAI."""
    from monai.networks.nets.resnet import get_pretrained_resnet_medicalnet

    depth = re.fullmatch(r"resnet(\d+)", model)
    if depth is None:
        raise ValueError(f"encoder_weights: MedicalNet has 3D ResNets only, found the encoder {model}; give a file")
    if find_spec("huggingface_hub") is None:
        raise ValueError(
            f"encoder_weights: the download of MedicalNet's {model} needs huggingface_hub, which is not "
            "installed; pip install -r requirements-pretrained.txt, or give the path of its file"
        )
    try:
        return get_pretrained_resnet_medicalnet(int(depth[1]), device="cpu", datasets23=True)
    except Exception as error:
        raise ValueError(
            f"encoder_weights: MedicalNet's {model} could not be downloaded ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no reason given'}); connect to the "
            "internet, or give the path of its file"
        ) from error


BY_COLUMN = ("mean", "sd", "number", "number_missing", "category")
"""Tensors of a `TableEncoder` whose rows are columns, or the values of a category."""
Column = Mapping[str, Any]


def trained_config(path: str | Path) -> dict[str, Any]:
    """Return the configuration of a weights file, from ``configs`` beside its folder; {} if there is none."""
    for name in ("train.yaml", "inference.yaml"):
        file = Path(path).absolute().parent.parent / "configs" / name
        if file.is_file():
            try:
                content = read_yaml(file)
            except (OSError, ValueError):
                continue
            if isinstance(content, dict):
                return content
    return {}


def table_tensors(network: nn.Module) -> set[str]:
    """Return the names of the tensors in the state dict whose rows are clinical columns."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        if isinstance(module, TableEncoder)
        for name in BY_COLUMN
    }


@torch.no_grad()
def start_tables(network: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Give each clinical column the statistics and weights of the column of the same name and unit in the file.

    The values of a category are matched by name. A column keeps what was fitted on the training cases if the
    file does not have it, has it in another unit, or if the names of the file's columns are unknown (no matching
    configuration lies beside it). The log says what was done, column by column.

    Args:
        network: network whose statistics have been fitted already.
        state: content of the weights file.
        path: the weights file; the configuration of its results folder holds the names of its columns.
    """
    declared = trained_config(path).get("clinical")
    for prefix, encoder in network.named_modules():
        if not isinstance(encoder, TableEncoder):
            continue
        everything = encoder.state_dict(keep_vars=True)
        own = {name: everything[name] for name in BY_COLUMN}
        given = {name: state[key] for name in BY_COLUMN if (key := f"{prefix}.{name}" if prefix else name) in state}
        before = _columns(declared, given)
        for column in encoder.columns:
            logger.info(
                "clinical column %s: %s", _title(column), _start_column(column, encoder, own, before, given, path)
            )


def _start_column(
    column: Column,
    encoder: TableEncoder,
    own: Mapping[str, Tensor],
    before: Sequence[Column] | None,
    given: Mapping[str, Tensor],
    path: str | Path,
) -> str:
    """Take over one column, or leave it as it is; return a text that says which."""
    if before is None:
        return f"fitted anew, since no configs/train.yaml beside {path} names the columns of its table"
    same = next((other for other in before if other["name"] == column["name"]), None)
    if same is None or same["kind"] != column["kind"]:
        return "fitted anew, since the start weights have no such column"
    if same.get("unit") != column.get("unit"):
        return f"fitted anew, since its unit was {same.get('unit') or 'not given'} in the start weights"
    if column["kind"] == "number":
        here, there = _row(encoder.columns, column), _row(before, same)
        for name in BY_COLUMN[:2]:
            own[name][here] = given[name][there]
        fits = given["number"].shape[1] == own["number"].shape[1]
        for name in BY_COLUMN[2:4] if fits else ():
            own[name][here] = given[name][there]
        return f"statistics{' and weights' if fits else ''} of {path}"
    if given["category"].shape[1] != own["category"].shape[1]:
        return "learned anew, since the encoder of the start weights has another width"
    here, there = _row(encoder.columns, column), _row(before, same)
    shared = [value for value in column["values"] if value in same["values"]]
    for value in shared:
        own["category"][here + column["values"].index(value)] = given["category"][there + same["values"].index(value)]
    own["category"][here + len(column["values"])] = given["category"][there + len(same["values"])]  # missing
    new = [value for value in column["values"] if value not in shared]
    return f"weights of {path}" + (f", but for what is new: {', '.join(new)}" if new else "")


def _columns(declared: Any, given: Mapping[str, Tensor]) -> list[Column] | None:
    """Return the columns that the tensors were trained with, None if they are unknown or do not match."""
    if set(given) != set(BY_COLUMN) or not isinstance(declared, list):
        return None
    if not all(isinstance(column, dict) and {"name", "kind"} <= set(column) for column in declared):
        return None
    numbers = [column for column in declared if column["kind"] == "number"]
    values = [column.get("values", []) for column in declared if column["kind"] == "category"]
    rows = sum(map(len, values)) + len(values)
    fit = len(given["mean"]) == len(numbers) and len(given["category"]) == rows
    return declared if fit else None


def _row(columns: Sequence[Column], column: Column) -> int:
    """Return the row of a number among the numbers, or of a category's first value in the common embedding."""
    earlier = [other for other in columns[: list(columns).index(column)] if other["kind"] == column["kind"]]
    return len(earlier) if column["kind"] == "number" else sum(len(other["values"]) + 1 for other in earlier)


def _title(column: Column) -> str:
    return f"{column['name']!r}" + (f" ({column['unit']})" if column.get("unit") else "")
