# SPDX-License-Identifier: Apache-2.0
"""Ways that were tried to make a training step faster, each compared with the step as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from scripts.engines.network import channels_last
from torch import Tensor, nn

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.ours import DEVICE, Model, batch, build_model
from benchmarks.performance.side import Parts, Side
from benchmarks.performance.timing import Step, measure, times_faster

CASES, SIDE, PHASES = 16, 28, 3
WIDTH, VOXELS = 16, 14
"""Channels and side of the volumes of the encoder's costliest convolution."""
ROUNDS, STEPS = 5, 2


class OneByOne(nn.Module):
    """An encoder that reads the phases one after the other instead of all in one batch."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, D, H, W] -> [N, C, d, h, w]."""
        return torch.cat([self.encoder(part) for part in x.chunk(PHASES)])


def contiguous(model: Model) -> None:
    """Give the weights torch's default memory layout."""
    for parameter in model.network.parameters():
        parameter.data = parameter.data.contiguous()


def one_by_one(model: Model) -> None:
    """Pass the phases through the encoder one after the other."""
    model.network.encoder = OneByOne(model.network.get_submodule("encoder"))


def fused(model: Model) -> None:
    """Take torch's fused AdamW."""
    (group,) = model.optimizer.param_groups
    rate, decay = group["lr"], group["weight_decay"]
    model.optimizer = torch.optim.AdamW(group["params"], lr=rate, weight_decay=decay, fused=True)


def compiled(model: Model) -> None:
    """Compile the encoder; the first step takes a minute or two."""
    model.network.get_submodule("encoder").compile()


CHANGES: dict[str, Callable[[Model], None]] = {"contiguous": contiguous, "one_by_one": one_by_one, "fused": fused}
if DEVICE != "cpu" or shutil.which("g++"):  # torch.compile builds C++ for a CPU
    CHANGES["compiled"] = compiled


def changed_step(
    change: Callable[[Model], None] | None = None, precision: str = "auto", one_missing: bool = False
) -> Step:
    """Return the step of the default network with one thing changed, or one phase missing in each case."""
    torch.manual_seed(0)
    image, present, label = batch(CASES, PHASES, SIDE)
    if one_missing:
        present[torch.arange(CASES), torch.arange(CASES) % PHASES] = False
    model = build_model(precision)
    if change is not None:
        change(model)
    return partial(model.step, image, present, label)


def convolution_step(grouped: bool) -> Step:
    """Return one layer of three encoders, forward and backward: three convolutions, or one grouped."""
    torch.manual_seed(0)
    volumes = torch.rand(CASES, PHASES * WIDTH, *[VOXELS] * 3, device=DEVICE)
    if grouped:
        inputs = [volumes]
        layers = [nn.Conv3d(PHASES * WIDTH, PHASES * WIDTH, 3, padding=1, bias=False, groups=PHASES)]
    else:
        inputs = list(volumes.chunk(PHASES, dim=1))
        layers = [nn.Conv3d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(PHASES)]
    for layer in layers:
        channels_last(layer.to(DEVICE))
    inputs = [part.contiguous(memory_format=torch.channels_last_3d).requires_grad_() for part in inputs]

    def step() -> None:
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            outputs = [layer(part) for layer, part in zip(layers, inputs, strict=True)]
        torch.stack([output.float().sum() for output in outputs]).sum().backward()

    return step


def unchanged() -> Parts:
    """Return the step as it is, for a process that returns freed memory to the system."""
    return {"step": changed_step()}


def measure_means(repeat: int, work: Path) -> Figures:
    """Return how many times as long the step takes with each change, timed in turn with the step as it is."""
    steps = {"as_is": changed_step(), "fp32": changed_step(precision="fp32")}
    steps["one_missing"] = changed_step(one_missing=True)
    steps |= {name: changed_step(change) for name, change in CHANGES.items()}
    with Side(unchanged) as handing:
        times = measure({**steps, "handed_back": partial(handing, "step")}, ROUNDS, STEPS)
    as_is = times.pop("as_is")
    found = {f"{name}_as_long": times_faster(taken, as_is) for name, taken in times.items()}
    pair = {name: convolution_step(name == "grouped") for name in ("separate", "grouped")}
    convolutions = measure(pair, ROUNDS, 4 * STEPS)
    return found | {"grouped_as_long": times_faster(convolutions["grouped"], convolutions["separate"])}


MEANS = Item(
    "means",
    (
        Figure("handed_back_as_long", "freed memory handed back to the system", digits=2),
        Figure("fp32_as_long", "float32", digits=2),
        Figure("contiguous_as_long", "weights not channels-last", digits=2),
        Figure("one_missing_as_long", "one of three phases missing in every case", digits=2),
        Figure("one_by_one_as_long", "phases one after the other, not in one batch", digits=2),
        Figure("fused_as_long", "torch's fused AdamW", digits=2),
        Figure("compiled_as_long", "encoder through torch.compile, once compiled", digits=2),
        Figure("grouped_as_long", "one encoder per phase: a grouped convolution for three", digits=2),
    ),
    measure_means,
    long=True,
)
