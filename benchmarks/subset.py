# SPDX-License-Identifier: Apache-2.0
"""Write a dataset.json with some cases or phases of a dataset; the images stay where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.cases.masks import each_mask

Case = dict[str, Any]
SPLITS = ("training", "validation", "test")


def write_subset(dataset: Path, output: Path, choose: Callable[[str, list[Case]], list[Case]]) -> Path:
    """Write the cases that `choose` returns for each split, with absolute paths; return the new dataset.json.

    Args:
        dataset: folder of the dataset.json that is read.
        output: folder of the one that is written, made if missing.
        choose: called as ``choose(split, cases)``; returns the cases to keep, changed or not.
    """
    content = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
    for split in SPLITS:
        content[split] = [_absolute(case, dataset) for case in choose(split, content.get(split, []))]
    output.mkdir(parents=True, exist_ok=True)
    file = output / "dataset.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def _absolute(case: Case, dataset: Path) -> Case:
    image = {phase: str((dataset / path).resolve()) for phase, path in case["image"].items()}
    roi = each_mask(case.get("roi"), lambda path: str((dataset / path).resolve()))
    return case | {"image": image} | ({} if roi is None else {"roi": roi})
