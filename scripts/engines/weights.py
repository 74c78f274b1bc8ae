"""Reading weights files: tensors only, and one line for whatever else a file is."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_CODE = re.compile(r"GLOBAL|operand 149\b")
"""In the error of `torch.load`: a function that is no part of tensors; 149 is the opcode STACK_GLOBAL."""


def load_tensors(path: str | Path) -> Any:
    """Read a file that `torch.save` wrote: tensors, numbers and texts. Code that it may hold is never run.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is damaged, or holds code.
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
    except Exception as error:  # each damage has an error of its own
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"weights file {path} cannot be read ({type(error).__name__}): it is damaged or no such file; "
        "restore it, or train anew under another --name"
    )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a flat state dict, or the ``network``, ``state_dict`` or ``model`` entry of a checkpoint.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not a state dict, is damaged, or holds code.
    """
    state = load_tensors(path)
    for entry in ("network", "state_dict", "model"):
        state = state.get(entry, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"weights file {path} must hold a flat state dict of tensors, found {type(state).__name__}"
        )
    return state


def load_fitting(
    network: nn.Module, given: Mapping[str, Tensor], own: Mapping[str, Tensor], title: str, rest: str
) -> bool:
    """Load the tensors that fit by name and shape, and log how many did and which did not.

    Args:
        network: receives them.
        given: tensors by name.
        own: those of the network that may be replaced.
        title: what is started from what, for the log.
        rest: what to call the tensors that are not used.

    Returns:
        Whether any fits; nothing is loaded or logged where none does.
    """
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not fitting:
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
