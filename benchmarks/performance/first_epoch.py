# SPDX-License-Identifier: Apache-2.0
"""Time from cold files to the end of the first epoch, and of a second start."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, SelectItemsd
from scripts.cases.cache import cached_dataset

from benchmarks.crop_first import BOX, PHASES, crop_first, crop_last, write_case
from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.timing import seconds

CASES, DISTINCT = 100, 10
"""Cases, and how many of them are generated; the others are copies under other names."""
START = (68, 66, 52)
"""First voxel of MONAI's crop, in voxels of 1 mm: the same part of the body."""
BATCH = 16


def cases(work: Path, count: int = CASES) -> list[dict[str, Any]]:
    """Return the items of the cases, written on first use.

    Args:
        work: folder that keeps them, 1.5 GB for 100 cases.
        count: how many.
    """
    folder = work / f"cases_{count}"
    items: list[dict[str, Any]] = []
    for number in range(count):
        place = folder / f"case{number:03d}"
        image = {phase: str(place / f"{phase}.nii.gz") for phase in PHASES}
        if not place.is_dir():
            partial = folder / ".part"
            shutil.rmtree(partial, ignore_errors=True)
            if number < DISTINCT:
                partial.mkdir(parents=True)
                write_case(partial, seed=number)
            else:
                shutil.copytree(folder / f"case{number % DISTINCT:03d}", partial)
            partial.rename(place)
        items.append({"case": place.name, "image": image, "roi": None, "box": BOX, "label": number % 2})
    return items


def forget_files(items: list[dict[str, Any]]) -> None:
    """Ask the system to drop the files from its cache, so that they are read from the disk."""
    os.sync()
    for item in items:
        for path in item["image"].values():
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def ours(items: list[dict[str, Any]], cache: Path) -> None:
    """Prepare the cases as the bundle does, on the disk cache, and pass once over them."""
    chain = Compose([*crop_first(), SelectItemsd(["image", "present", "label"])])
    dataset = cached_dataset(items, chain, cache="disk", cache_dir=cache, progress=False)
    for _ in DataLoader(dataset, batch_size=BATCH):
        pass


def theirs(items: list[dict[str, Any]]) -> None:
    """Prepare the cases by MONAI's dictionary chain, one worker per core, and pass once over them."""
    chain = Compose(crop_last(list(START), np.float64))
    files = [{**item["image"], "label": item["label"]} for item in items]
    dataset = CacheDataset(files, chain, num_workers=os.cpu_count(), progress=False)
    for _ in DataLoader(dataset, batch_size=BATCH):
        pass


def measure_first_epoch(repeat: int, work: Path, count: int = CASES) -> Figures:
    """Return the times of both sides from cold, and of the bundle's second start."""
    items, cache = cases(work, count), work / "first_epoch_cache"
    forget_files(items)
    slow = seconds(lambda: theirs(items))
    shutil.rmtree(cache, ignore_errors=True)
    forget_files(items)
    fast = seconds(lambda: ours(items, cache))
    again = seconds(lambda: ours(items, cache))
    shutil.rmtree(cache)
    return {"first": slow / fast, "monai_s": slow, "first_s": fast, "second_s": again}


FIRST_EPOCH = Item(
    "first_epoch",
    (
        Figure("first", "first epoch, against MONAI's chain", least=8.0),
        Figure("monai_s", "first epoch, MONAI's chain", "s"),
        Figure("first_s", "first epoch", "s"),
        Figure("second_s", "second start, with its epoch", "s", 2, most=2.0),
    ),
    measure_first_epoch,
    long=True,
)
