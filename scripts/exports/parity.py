"""Whether an exported file predicts what the network predicts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from scripts.exports.inputs import Inputs

TOLERANCE = 1e-4
"""Largest difference of a logit between an exported file and the network that it was made from."""


def largest_difference(
    network: nn.Module, exported: nn.Module, trials: Mapping[str, Inputs], name: str
) -> float:
    """Return the largest difference of a logit over all batches.

    Args:
        network: the network, in evaluation mode.
        exported: what was made from it.
        trials: batches by what is tried.
        name: of the format, for the message.

    Raises:
        ValueError: a difference above `TOLERANCE`, or a logit that is not finite; says in which batch.
    """
    largest = 0.0
    for trial, (image, clinical, present) in trials.items():
        with torch.inference_mode():
            expected, found = (part(image, clinical, present) for part in (network, exported))
        difference = float((found - expected).abs().max())
        if not difference <= TOLERANCE:
            raise ValueError(
                f"the exported {name} file must give the logits of {type(network).__name__} to within "
                f"{TOLERANCE:g}, found {difference:g} with {trial}; nothing was written, use another format"
            )
        largest = max(largest, difference)
    return largest
