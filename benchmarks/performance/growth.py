# SPDX-License-Identifier: Apache-2.0
"""How time and memory of a training grow with phases, voxels and cases."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from monai.data import DataLoader
from monai.transforms import MapTransform
from scripts.cases.cache import cached_dataset
from scripts.engines.randomness import keep_freed_memory
from torch import Tensor

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.ours import batch, build_model, our_step
from benchmarks.performance.peak_memory import peak_memory
from benchmarks.performance.timing import growth_exponent, measure, seconds

PHASES = (1, 2, 4, 8)
SIDES = (28, 40, 56, 72, 96)
CASES = (100, 300, 1000, 3000, 10_000)
SMALL = 12
"""Voxels per side when the number of cases grows."""
BATCH = 16


class Noised(MapTransform):
    """Generates the image of a case from its number, in place of reading and preparing files."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        draw = torch.Generator().manual_seed(data["image"])
        image = torch.rand((3, SMALL, SMALL, SMALL), generator=draw)
        return {"image": image, "present": torch.ones(3, dtype=torch.bool), "label": data["label"]}


def steps(cases: int, phases: int, side: int) -> float:
    """Take three steps on one batch and return the median time of the last two, in s."""
    keep_freed_memory()  # as training does
    step = our_step(*batch(cases, phases, side))
    return median(measure({"step": step}, rounds=2, steps=1)["step"]) / 1000


def epoch_from_disk(count: int, cache: str) -> float:
    """Train an epoch from the disk cache, filling it if needed, and return its time in s."""
    keep_freed_memory()
    items = [{"image": number, "label": number % 2} for number in range(count)]
    dataset = cached_dataset(items, [Noised("image")], cache="disk", cache_dir=cache, progress=False)
    model = build_model()

    def train(data: Any) -> None:
        for found in data:
            model.step(found["image"], found["present"], found["label"], augment=True)

    def first() -> list[dict[str, Tensor]]:
        return [next(iter(DataLoader(dataset, batch_size=BATCH)))]

    train(first())
    return seconds(lambda: train(DataLoader(dataset, batch_size=BATCH, shuffle=True)))


def measure_growth(
    repeat: int, work: Path, phases: Sequence[int] = PHASES, sides: Sequence[int] = SIDES, counts: Sequence[int] = CASES
) -> Figures:
    """Return the exponents of time and memory against phases, voxels and cases."""
    figures: Figures = {}
    ways = {"phases": [(8, p, 40) for p in phases], "voxels": [(4, 3, side) for side in sides]}
    sizes = {"phases": [float(p) for p in phases], "voxels": [float(side) ** 3 for side in sides]}
    for name, chosen in ways.items():
        found = [peak_memory(steps, *each) for each in chosen]
        figures[f"{name}_time"] = growth_exponent(sizes[name], [taken for _, taken in found])
        figures[f"{name}_memory"] = growth_exponent(sizes[name], [memory for memory, _ in found])
    cache = work / "growth_cache"
    times, peaks = [], []
    for count in counts:  # a process that fills the cache, and one that trains from it
        peak_memory(epoch_from_disk, count, str(cache))
        memory, taken = peak_memory(epoch_from_disk, count, str(cache))
        times.append(taken)
        peaks.append(memory)
    shutil.rmtree(cache)
    figures["cases_time"] = growth_exponent([float(count) for count in counts], times)
    figures["cases_memory_ratio"] = peaks[-1] / peaks[0]
    figures["cases_memory_first"], figures["cases_memory_last"] = peaks[0], peaks[-1]
    return figures


GROWTH = Item(
    "growth",
    (
        Figure("phases_time", "time against phases, exponent", "", 2, most=1.05),
        Figure("phases_memory", "memory against phases, exponent", "", 2, most=1.05),
        Figure("voxels_time", "time against voxels, exponent", "", 2, most=1.05),
        Figure("voxels_memory", "memory against voxels, exponent", "", 2, most=1.05),
        Figure("cases_time", "time against cases, exponent", "", 2, most=1.05),
        Figure("cases_memory_ratio", f"memory of {CASES[-1]:,} cases over that of {CASES[0]}", "x", 2, most=1.25),
        Figure("cases_memory_first", f"memory, {CASES[0]} cases", "MB", 0),
        Figure("cases_memory_last", f"memory, {CASES[-1]:,} cases", "MB", 0),
    ),
    measure_growth,
    long=True,
)
