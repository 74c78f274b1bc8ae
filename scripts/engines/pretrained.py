"""Starts the encoders of a network from weights that were trained elsewhere."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from scripts.networks import MonaiViTEncoder, ResidualEncoder
from scripts.networks.staged import StagedEncoder

from .weights import load_fitting, read_weights

MEDICALNET = "medicalnet"


def start_encoders(network: nn.Module, source: str | Path) -> None:
    """Copy weights into every encoder of a network, and log which tensors did not fit by name and shape.

    Names are those of MONAI's own network (``layer1.0.conv1.weight``), with or without ``module.`` in front.
    A first convolution for colour images is summed over its three colours where the encoder reads one grey
    channel: the answer to a grey image is the same.

    Args:
        network: with encoders of this bundle.
        source: a weights file, or ``medicalnet``, which MONAI downloads (3D ResNets; needs the network and
            requirements-pretrained.txt).

    Raises:
        FileNotFoundError: no such file.
        ValueError: no encoder, no tensor that fits, or weights that cannot be got.
    """
    kinds = (StagedEncoder, MonaiViTEncoder, ResidualEncoder)
    encoders = {name: module for name, module in network.named_modules() if isinstance(module, kinds)}
    if not encoders:
        raise ValueError(
            f"encoder_weights: {type(network).__name__} has no encoder that they could belong to; leave "
            "them out"
        )
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
    """Sum a convolution over three colours into one channel where that is what the encoder has."""
    if (
        own is None
        or own.dim() < 4
        or own.shape[1] != 1
        or value.shape[:1] + value.shape[2:] != own.shape[:1] + own.shape[2:]
    ):
        return value
    return value.sum(dim=1, keepdim=True) if value.shape[1] == 3 else value


def _medicalnet(model: str) -> dict[str, Tensor]:
    """Download MedicalNet's weights of a 3D ResNet by MONAI."""
    from monai.networks.nets.resnet import get_pretrained_resnet_medicalnet

    depth = re.fullmatch(r"resnet(\d+)", model)
    if depth is None:
        raise ValueError(
            f"encoder_weights: MedicalNet has 3D ResNets only, found the encoder {model}; give a file"
        )
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
