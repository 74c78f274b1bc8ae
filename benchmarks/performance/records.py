# SPDX-License-Identifier: Apache-2.0
"""One JSON file per item and repeat, so that a stopped benchmark continues where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from scripts.files.atomic import write_text

from benchmarks.performance.item import Figures, Item

MACHINE = "machine.json"


class Records:
    """The records of one machine.

    Args:
        folder: made if missing.
        machine: description; records of another machine, thread count or version are not mixed with its own.

    Raises:
        ValueError: the folder holds records of another machine.
    """

    def __init__(self, folder: Path, machine: Mapping[str, Any]) -> None:
        self.folder, self.machine = folder, machine
        file = folder / MACHINE
        if not file.is_file():
            write_text(file, json.dumps(machine, indent=2) + "\n")
        elif json.loads(file.read_text(encoding="utf-8")) != machine:
            raise ValueError(
                f"the records in {folder} must be of this machine, thread count and versions, found others "
                f"in {file}; remove the folder, or give another one with --work"
            )

    def file(self, item: str, repeat: int) -> Path:
        """Return the file of one repeat of an item."""
        return self.folder / item / f"{repeat}.json"

    def has(self, item: str, repeat: int) -> bool:
        """Return whether a repeat was measured."""
        return self.file(item, repeat).is_file()

    def add(self, item: str, repeat: int, figures: Figures) -> None:
        """Keep what a repeat measured."""
        write_text(self.file(item, repeat), json.dumps(figures, indent=2) + "\n")

    def read(self, item: str) -> list[Figures]:
        """Return what all repeats of an item measured, in their order."""
        files = sorted((self.folder / item).glob("*.json"), key=lambda file: int(file.stem))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def aggregate(repeats: list[Figures]) -> dict[str, Any]:
    """Return the median, smallest and largest value of each figure over the repeats, and their number.

    >>> aggregate([{"ratio": 3.0}, {"ratio": 1.0}, {"ratio": 2.0}])["ratio"]
    {'median': 2.0, 'min': 1.0, 'max': 3.0, 'repeats': 3}
    """
    names = dict.fromkeys(name for figures in repeats for name in figures)
    found = {}
    for name in names:
        values = [figures[name] for figures in repeats if name in figures]
        rounded = {"median": median(values), "min": min(values), "max": max(values)}
        found[name] = {key: float(f"{value:.5g}") for key, value in rounded.items()}
        found[name]["repeats"] = len(values)
    return found


def report(records: Records, items: Iterable[Item]) -> dict[str, Any]:
    """Return the content of the figures' JSON: the machine, and each item that was measured."""
    measured = {item.name: records.read(item.name) for item in items}
    figures = {name: aggregate(repeats) for name, repeats in measured.items() if repeats}
    return {**records.machine, "items": figures}
