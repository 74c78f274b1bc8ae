# SPDX-License-Identifier: Apache-2.0
"""TorchScript and ONNX files: writing them, comparing them with the network, and timing them."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from monai.data import save_net_with_metadata
from torch import Tensor, nn

Inputs = tuple[Tensor, Tensor | None, Tensor]
"""image [B, P, D, H, W], clinical [B, T] or None without a table, present [B, P]."""


def example_inputs(cases: int, num_phases: int, grid_size: Sequence[int], num_columns: int, seed: int = 0) -> Inputs:
    """Return a batch of noise in which every phase and every clinical value is present."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.rand((cases, num_phases, *grid_size), generator=draw)
    clinical = torch.rand((cases, num_columns), generator=draw) if num_columns else None
    return image, clinical, torch.ones(cases, num_phases, dtype=torch.bool)


def trial_batches(
    num_phases: int, grid_size: Sequence[int], num_columns: int, most: int = 5
) -> dict[str, tuple[Tensor, Tensor | None, Tensor]]:
    """Return test batches by name: one case, `most`, each phase missing, each clinical value missing.

    Absent phases hold NaN, which no exported operation may let through.
    """
    batches = {
        f"{cases} of {num_phases} phases": example_inputs(cases, num_phases, grid_size, num_columns, cases)
        for cases in (1, most)
    }
    if num_phases > 1:
        image, clinical, present = example_inputs(num_phases, num_phases, grid_size, num_columns, 2)
        present = ~torch.eye(num_phases, dtype=torch.bool)
        image[~present] = torch.nan
        batches["a phase missing"] = (image, clinical, present)
    if num_columns:
        image, clinical, present = example_inputs(num_columns + 1, num_phases, grid_size, num_columns, 3)
        assert clinical is not None
        clinical[:-1][torch.eye(num_columns, dtype=torch.bool)] = torch.nan
        clinical[-1] = torch.nan
        batches["clinical values missing"] = (image, clinical, present)
    return batches


OPSET = 17
"""Version of the ONNX operators; onnxruntime 1.12 and later read it."""


class OnnxForm(nn.Module):
    """A network with positional inputs only, since ONNX has no optional ones.

    Args:
        network: network of `scripts.networks`.
        table: whether it reads a clinical table, which is then the second input.
    """

    def __init__(self, network: nn.Module, table: bool) -> None:
        super().__init__()
        self.network, self.table = network, table

    def forward(self, image: Tensor, second: Tensor, third: Tensor | None = None) -> Tensor:
        """Classify: image, clinical and present, or without a table image and present."""
        if self.table:
            return self.network(image, second, third)
        return self.network(image, None, second)


def write_torchscript(network: nn.Module, inputs: Inputs, description: Mapping[str, Any], path: Path) -> None:
    """Write a TorchScript file with a description that `monai.data.load_net_with_metadata` reads.

    Raises:
        ValueError: the network cannot be scripted.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The TorchScript type system")  # of lists that are not empty
            scripted = torch.jit.script(network)
    except (RuntimeError, torch.jit.frontend.NotSupportedError) as error:
        raise not_exported(network, "TorchScript", error) from None
    with path.open("wb") as stream:  # given a path, torch would put its name, here a random one, into the file
        save_net_with_metadata(scripted, stream, include_config_vals=False, meta_values=description)


def write_onnx(network: nn.Module, inputs: Inputs, description: Mapping[str, Any], path: Path) -> None:
    """Write an ONNX file for batches of any size; its metadata is the description.

    Inputs image float32 [B, P, D, H, W], clinical float32 [B, T] (only with a table, NaN where a value is
    missing) and present bool [B, P]; output logits float32 [B, K], whose softmax is the probability, or of a
    network that outlines [B, M (S + 1), D, H, W].

    Raises:
        ValueError: the network has an operation that ONNX lacks, or the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError(
            "the ONNX format needs the packages onnx and onnxruntime, found none; pip install -r requirements-onnx.txt"
        ) from None
    named = dict(zip(("image", "clinical", "present"), inputs, strict=True))
    given = {name: tensor for name, tensor in named.items() if tensor is not None}
    batched = {name: {0: "cases"} for name in [*given, "logits"]}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every number taken from a shape
        try:
            torch.onnx.export(
                OnnxForm(network, "clinical" in given).eval(), tuple(given.values()), path, dynamo=False,
                opset_version=OPSET, input_names=list(given), output_names=["logits"], dynamic_axes=batched,
            )  # fmt: skip
        except Exception as error:  # of many kinds
            raise not_exported(network, "ONNX", error) from None
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in description.items()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def not_exported(network: nn.Module, name: str, error: Exception) -> ValueError:
    """Return the error for a network that cannot be exported to a format."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return ValueError(
        f"{type(network).__name__} cannot be exported to {name} ({reason}); choose another format or strategy"
    )


Writer = Callable[[nn.Module, Inputs, Mapping[str, Any], Path], None]
FORMATS: dict[str, Writer] = {"torchscript": write_torchscript, "onnx": write_onnx}
"""Name of the format, as in `EXPORTED` -> function that writes it."""


TOLERANCE = 1e-4
"""Largest accepted difference of a logit between an exported file and its network."""


def largest_difference(network: nn.Module, exported: nn.Module, trials: Mapping[str, Inputs], name: str) -> float:
    """Return the largest difference of a logit over all batches.

    Args:
        network: the network, in evaluation mode.
        exported: the network in the exported file.
        trials: batches by name, from `trial_batches`.
        name: name of the format, for the message.

    Raises:
        ValueError: a difference above `TOLERANCE`, or a logit that is not finite; names the batch.
    """
    largest = 0.0
    for trial, (image, clinical, present) in trials.items():
        with torch.inference_mode():
            expected, found = (part(image, clinical, present) for part in (network, exported))
        difference = float((found - expected).abs().max())
        if not difference <= TOLERANCE:  # so written, it also catches NaN
            raise ValueError(
                f"the exported {name} file must give the logits of {type(network).__name__} to within "
                f"{TOLERANCE:g}, found {difference:g} with {trial}; nothing was written, use another format"
            )
        largest = max(largest, difference)
    return largest


def latencies(networks: Mapping[str, nn.Module], inputs: Inputs, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Time every network on the same batch: median, fastest and slowest of the rounds, in ms.

    The networks take turns in every round, so that other load on the machine affects all of them equally. Two
    untimed passes come first, in which TorchScript compiles itself.

    Args:
        networks: networks by name, on the CPU.
        inputs: the batch.
        rounds: number of timed passes; 0: nothing is timed.
    """
    image, clinical, present = inputs
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for round_ in range(rounds + 2 if rounds else 0):
            for name, network in networks.items():
                start = perf_counter()
                network(image, clinical, present)
                if round_ >= 2:
                    seconds[name].append((perf_counter() - start) * 1000)
    return {name: (median(found), min(found), max(found)) for name, found in seconds.items() if found}
