"""What a layout makes of a source folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.data.clinical import Column


@dataclass(frozen=True)
class Source:
    """Where a layout looks, and what the user said about it.

    Attributes:
        path: the folder or file given as `source`; may not exist where a layout can fetch its data by name.
        output: absolute folder of the dataset.json to be; a layout that converts volumes writes them below
            it.
        labels: CSV file with a label per case, or None.
        phases: the phases to use, in order, or None for all that are found.
        clinical: columns of `labels` to take as clinical values, or None for all.
    """

    path: Path
    output: Path
    labels: Path | None = None
    phases: Sequence[str] | None = None
    clinical: Sequence[str] | None = None


@dataclass(frozen=True)
class Found:
    """The cases of a source, before they are split.

    Attributes:
        name: name of the dataset.
        phases: phases in order.
        classes: class names in order; None takes those of the cases, sorted.
        cases: entries as in dataset.json, with `image`, `roi` as absolute paths; `split` where the source
            fixes it; without `label` where it is unknown.
        clinical: declarations of the clinical columns.
        overlay: configuration that the bundle ships for this dataset, or None.
        notes: lines for the user about what was left out.
    """

    name: str
    phases: list[str]
    cases: list[dict[str, Any]]
    classes: list[str] | None = None
    clinical: list[Column] = field(default_factory=list)
    overlay: str | None = None
    notes: list[str] = field(default_factory=list)
