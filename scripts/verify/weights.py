"""A weights file is tensors alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from scripts.verify.finding import Finding

STATE = "last.pt"
"""What a training goes on from: numbers and texts beside tensors."""


def check_weights(file: Path, name: str) -> list[Finding]:
    """Return what a ``.pt`` file holds beside tensors; code in it is not run."""
    import torch

    must = "a state dict of tensors alone, which torch.load reads with weights_only=True"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which name torch's functions
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each kind of file has an error of its own
        return [Finding(name, "", f"{type(error).__name__}: {' '.join(str(error).split())[:60]}", must)]
    if file.name == STATE:
        return []
    if not isinstance(state, dict):
        return [Finding(name, "", type(state).__name__, must)]
    return [
        Finding(name, str(key), _kind(value), must)
        for key, value in state.items()
        if not (isinstance(key, str) and type(value) in (torch.Tensor, torch.nn.Parameter))
    ]


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.40}"
