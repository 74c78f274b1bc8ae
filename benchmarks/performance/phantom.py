# SPDX-License-Identifier: Apache-2.0
"""Cases of the built-in phantom with all three phases, prepared once as the bundle prepares them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from scripts.files.atomic import write_tensors
from torch import Tensor
from workbench.prepare.phantom.dataset import make_phantom

from benchmarks.performance.ours import settings

SIDE = 28
MADE = {"training": 180, "validation": 160, "test": 2}
"""Cases that are generated; about 7 in 10 have all phases."""
KEPT = {"training": 120, "validation": 100}


@dataclass(frozen=True)
class Prepared:
    """Cases in memory: images [N, 3, 28, 28, 28] and labels [N] to train on and to validate."""

    training: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]


def phantom_folder(work: Path) -> Path:
    """Return the folder of the phantom's files, made on first use."""
    folder = work / "phantom"
    if not (folder / "dataset.json").is_file():
        make_phantom(folder, splits=MADE, progress=False)
    return folder


def prepared_phantom(work: Path) -> Prepared:
    """Return the prepared cases, made on first use.

    Args:
        work: folder that keeps them.
    """
    file = work / f"phantom_{SIDE}.pt"
    if not file.is_file():
        chosen = {"dataset_dir": str(phantom_folder(work)), "grid_size": [SIDE] * 3}
        parser = settings(chosen)
        cases = parser.get_parsed_content("cases")
        prepare = parser.get_parsed_content("train#preprocessing")
        found = {}
        for split, count in KEPT.items():
            complete = [item for item in getattr(cases, split) if len(item["image"]) == 3][:count]
            items = [prepare(item) for item in complete]
            images = torch.stack([torch.as_tensor(item["image"]) for item in items])
            found[split] = [images, torch.tensor([int(item["label"]) for item in items])]
        write_tensors(file, found)
    found = torch.load(file, weights_only=True)
    return Prepared(tuple(found["training"]), tuple(found["validation"]))
