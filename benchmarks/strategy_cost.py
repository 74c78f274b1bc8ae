# SPDX-License-Identifier: Apache-2.0
"""Count the parameters and operations of every fusion strategy and time one optimisation step of each.

    python -m benchmarks.strategy_cost --output docs/figures/strategy_cost.csv

One row per fragment of `configs/fusion`, for 3 phases of 32 x 32 x 32 voxels and 2 classes:

* parameters: of the whole network; added_parameters: without those of one encoder of a single phase;
* mflop: matrix products and convolutions to classify one case; a multiplication and an addition are 2 FLOP;
* step_ratio: time of one step relative to `concat`. Every round times each contender in turn and divides by
  `concat` in the same round, so that other load on the machine affects all of them; the result is the median
  over the rounds with the smallest and largest. The step is forward in training's default precision, the
  fragment's own loss, backward and AdamW on a batch of 16 complete cases that is already in memory.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from monai.bundle import ConfigParser
from scripts.engines.environment import describe_machine
from scripts.engines.inferer import PhaseInferer
from scripts.engines.randomness import keep_freed_memory
from scripts.files.atomic import write_atomically
from torch import Tensor, nn
from workbench.network import parts_of
from workbench.prepare.phantom.oracle import CLINICAL, PHASES

from benchmarks.performance.ours import settings
from benchmarks.performance.timing import Step, measure
from benchmarks.strategies import NEED_TABLE

CASES, SIDE, CLASSES = 16, 32, 2
REFERENCE = "concat"
CONFIGS = Path(__file__).parent.parent / "configs"
FIELDS = (
    "strategy", "parameters", "added_parameters", "mflop", "step_ratio", "step_ratio_min", "step_ratio_max",
    "step_ms", "rounds", "threads", "processor", "torch",
)  # fmt: skip


def fragments() -> list[str]:
    """Return the names of all strategies that have a fragment."""
    return sorted(path.stem for path in (CONFIGS / "fusion").glob("*.yaml"))


def read(strategy: str) -> ConfigParser:
    """Read the configuration of a training with a strategy, without data."""
    columns = list(CLINICAL) if strategy in NEED_TABLE else []
    return settings({"phases": list(PHASES), "columns": columns}, [f"fusion/{strategy}.yaml"])


def size(strategy: str) -> dict[str, Any]:
    """Return the parameters and operations of a strategy."""
    parser = read(strategy)
    network = parser.get_parsed_content("network_def")
    reads_images = hasattr(network, "encoder")
    encoder = parser.get_parsed_content("encoder")(in_channels=1) if reads_images else nn.Identity()
    whole = parts_of(network, len(PHASES), [SIDE] * 3)[-1]
    return {
        "parameters": whole.parameters,
        "added_parameters": whole.parameters - sum(p.numel() for p in encoder.parameters()),
        "mflop": round(whole.flops / 1e6, 2),
    }


def training_step(strategy: str, image: Tensor, label: Tensor) -> Step:
    """Return one optimisation step of a strategy, as `configs/train.yaml` sets it up."""
    parser = read(strategy)
    network: nn.Module = parser.get_parsed_content("network_def")
    network.to(memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    loss = parser.get_parsed_content("loss")
    infer = PhaseInferer(parser["precision"])
    rate, decay = parser["learning_rate"], parser["weight_decay"]
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    seen = {"present": torch.ones(image.shape[:2], dtype=torch.bool)}
    if strategy in NEED_TABLE:
        seen["clinical"] = torch.ones(len(image), len(CLINICAL))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(infer(image, network, **seen), label).backward()
        optimizer.step()

    return step


def relative(times: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Return the median ratio of two contenders over the rounds, with the smallest and largest.

    >>> relative([2.0, 3.0, 9.0], [1.0, 2.0, 3.0])
    {'step_ratio': 2.0, 'step_ratio_min': 1.5, 'step_ratio_max': 3.0, 'step_ms': 3.0}
    """
    ratios = [time / other for time, other in zip(times, reference, strict=True)]
    return {
        "step_ratio": round(median(ratios), 3),
        "step_ratio_min": round(min(ratios), 3),
        "step_ratio_max": round(max(ratios), 3),
        "step_ms": round(median(times), 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", choices=fragments(), default=fragments(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=9, help="rounds, each timing every contender")
    parser.add_argument("--steps", type=int, default=2, help="steps timed together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--output", type=Path, required=True, help="CSV with one row per strategy")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    keep_freed_memory()  # as training does
    torch.manual_seed(0)
    image, label = torch.rand(CASES, len(PHASES), *[SIDE] * 3), torch.randint(CLASSES, (CASES,))

    names = sorted({REFERENCE, *given.strategies})
    sizes = {name: size(name) for name in names}
    times = measure({name: training_step(name, image, label) for name in names}, given.rounds, given.steps)
    machine = describe_machine()
    on = {
        "rounds": given.rounds,
        "threads": machine["threads"],
        "processor": machine["machine"]["processor"],
        "torch": machine["versions"]["torch"],
    }
    rows = [{"strategy": name, **sizes[name], **relative(times[name], times[REFERENCE]), **on} for name in names]

    def write(file: Path) -> None:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(given.output, write)
    for row in rows:
        print(
            f"{row['strategy']:18} {row['parameters']:>9,} parameters  {row['mflop']:8.2f} MFLOP  "
            f"x{row['step_ratio']:.2f} ({row['step_ratio_min']:.2f} to {row['step_ratio_max']:.2f})"
        )


if __name__ == "__main__":
    main()
