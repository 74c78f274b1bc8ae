"""Reading a file of weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a flat state dict, or the ``network`` or ``state_dict`` entry of a checkpoint.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights file {path} does not exist; train first, or give --bundle_root of a results folder"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"weights file {path} cannot be read ({type(error).__name__}); is it complete?"
        ) from error
    for entry in ("network", "state_dict"):
        state = state.get(entry, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"weights file {path} must hold a flat state dict of tensors, found {type(state).__name__}"
        )
    return state
