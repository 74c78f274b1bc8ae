"""Writes a network as one file: TorchScript, or ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.data import save_net_with_metadata
from torch import Tensor, nn

from scripts.exports.inputs import Inputs

OPSET = 17
"""Version of the ONNX operators; onnxruntime 1.12 and later read it."""


class OnnxForm(nn.Module):
    """A network with all its inputs in a row, since ONNX has no optional ones.

    Args:
        network: as in `scripts.networks`.
        table: whether it reads a clinical table; then it is the second input.
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
    """Write a TorchScript file, whose description `monai.data.load_net_with_metadata` reads.

    Raises:
        ValueError: the network cannot be scripted.
    """
    try:
        scripted = torch.jit.script(network)
    except (RuntimeError, torch.jit.frontend.NotSupportedError) as error:
        raise not_exported(network, "TorchScript", error) from None
    save_net_with_metadata(scripted, str(path), include_config_vals=False, meta_values=description)


def write_onnx(network: nn.Module, inputs: Inputs, description: Mapping[str, Any], path: Path) -> None:
    """Write an ONNX file for batches of any size; its metadata is the description.

    Inputs image float32 [B, P, D, H, W], clinical float32 [B, T] (only with a table, NaN where a value is
    missing) and present bool [B, P]; output logits float32 [B, K], whose softmax is the probability.

    Raises:
        ValueError: an operation that ONNX lacks, or the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError(
            "the ONNX format needs the packages onnx and onnxruntime, found none; "
            "pip install -r requirements-onnx.txt"
        ) from None
    named = dict(zip(("image", "clinical", "present"), inputs, strict=True))
    given = {name: tensor for name, tensor in named.items() if tensor is not None}
    batched = {name: {0: "cases"} for name in [*given, "logits"]}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every number that a shape gives
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
    """Return the error for a network that a format cannot hold."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return ValueError(
        f"{type(network).__name__} cannot be exported to {name} ({reason}); choose another format or strategy"
    )


Writer = Callable[[nn.Module, Inputs, Mapping[str, Any], Path], None]
FORMATS: dict[str, Writer] = {"torchscript": write_torchscript, "onnx": write_onnx}
"""By name, as in `EXPORTED`."""
