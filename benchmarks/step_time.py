"""Times one optimisation step of the default network against the three-tower network of the original blog.

    python -m benchmarks.step_time --output docs/figures/step_time.json

Every round times each contender in turn, so that other load on the machine meets all of them; the result is
the median over the rounds with the smallest and largest, and the ratio of the medians. The step is forward,
loss, backward and the optimiser on a batch that is already in memory: 16 cases x 3 phases x 28 x 28 x 28.

Reported: the bare ratios in bfloat16 and in float32, and the ratio with the default augmentation inside our
step and none inside the blog's (which favours the blog), whose network is `benchmarks.performance.blog`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from benchmarks.performance.blog import blog_step
from benchmarks.performance.timing import Step, measure
from scripts.engines.precision import has_fast_bf16
from scripts.evaluation import describe_machine
from scripts.fusion import Concat
from scripts.losses import ClassificationLoss
from scripts.networks import PhaseFusionNetwork, ResidualEncoder

CASES, PHASES, SIDE, CLASSES = 16, 3, 28, 2
TRAIN_CONFIG = Path(__file__).parent.parent / "configs" / "train.yaml"


def our_step(
    image: Tensor, label: Tensor, bf16: bool, augment: Callable[[Tensor, Tensor], Tensor] | None = None
) -> tuple[Step, int]:
    """Return the step of the default network and its number of parameters."""
    network = PhaseFusionNetwork(ResidualEncoder, Concat, num_phases=PHASES, num_classes=CLASSES)
    network = network.to(memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    criterion = ClassificationLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    present = torch.ones(CASES, PHASES, dtype=torch.bool)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch = image if augment is None else augment(image, present)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs = network(batch, present=present)
        criterion(outputs, label).backward()
        optimizer.step()

    return step, sum(p.numel() for p in network.parameters())


def default_augmentation() -> Callable[[Tensor, Tensor], Tensor]:
    """Return the augmentation of `configs/train.yaml`."""
    parser = ConfigParser()
    parser.read_config(TRAIN_CONFIG)
    return parser.get_parsed_content("augmentation")


def main() -> None:
    """Measure, print a table and write the JSON file if asked."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--rounds", type=int, default=9, help="rounds, each timing every contender")
    options.add_argument("--steps", type=int, default=2, help="steps timed together")
    options.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    options.add_argument("--output", type=Path, help="JSON file for the figures")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    image, label = torch.rand(CASES, PHASES, SIDE, SIDE, SIDE), torch.randint(CLASSES, (CASES,))

    built = {"blog fp32": blog_step(image, label), "ours fp32": our_step(image, label, bf16=False)}
    fast = has_fast_bf16(torch.device("cpu"))
    if fast:
        built["ours bf16"] = our_step(image, label, bf16=True)
    built["ours with augmentation"] = our_step(image, label, fast, default_augmentation())
    measured = measure({name: step for name, (step, _) in built.items()}, chosen.rounds, chosen.steps)
    times: dict[str, dict[str, float]] = {
        name: {"median_ms": statistics.median(t), "min_ms": min(t), "max_ms": max(t)}
        for name, t in measured.items()
    }
    for name, row in times.items():
        row["parameters"] = built[name][1]
        row["times_faster_than_blog"] = times["blog fp32"]["median_ms"] / row["median_ms"]
    report = {
        "batch": f"{CASES} cases x {PHASES} phases x {SIDE}^3",
        **describe_machine(),
        "rounds": chosen.rounds,
        "steps": times,
    }
    print(f"{report['batch']}; {report['machine']['processor']}, {report['threads']} threads")
    for name, row in times.items():
        print(
            f"{name:24} {row['median_ms']:8.1f} ms  ({row['min_ms']:.1f} to {row['max_ms']:.1f})  "
            f"x{row['times_faster_than_blog']:.1f}  {row['parameters']:,} parameters"
        )
    if chosen.output:
        chosen.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
