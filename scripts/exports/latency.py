"""How long one case takes in each runtime."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from time import perf_counter

import torch
from torch import nn

from scripts.exports.inputs import Inputs


def latencies(
    networks: Mapping[str, nn.Module], inputs: Inputs, rounds: int
) -> dict[str, tuple[float, float, float]]:
    """Time every network on the same batch: median, fastest and slowest of the rounds, in ms.

    The networks take turns in every round, so that what else the machine does meets all of them alike. Each
    has two passes before, in which TorchScript compiles itself.

    Args:
        networks: by name, on the CPU.
        inputs: the batch.
        rounds: passes that count; 0: nothing is timed.
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
