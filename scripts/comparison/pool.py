"""All labelled cases of a dataset in one list, and the dataset.json of a fold of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.data.case_checks import check_files, check_unique, class_index
from scripts.data.clinical import Column, select_columns
from scripts.data.document import Item, check_phases, name_list, open_document, read_item
from scripts.data.nearest import listing
from scripts.data.splits import SPLITS
from scripts.evaluation.atomic import write_text

from .folds import Fold

ENTRY = ("case", "patient", "site", "image", "roi", "box", "clinical", "label")


@dataclass(frozen=True)
class Pool:
    """The labelled cases of one dataset, sorted by name.

    Attributes:
        name: of the dataset.
        phases: the chosen phases, in order.
        classes: class names, in order.
        columns: the chosen clinical columns, declared in full.
        items: the cases, with absolute paths and the label as a name.
        positive: the positive one of two classes, for the dataset.json of folds; it changes no training.
    """

    name: str
    phases: list[str]
    classes: list[str]
    columns: list[Column]
    items: list[Item]
    positive: str | None = field(default=None, repr=False)

    def values(self, key: str) -> list[Any]:
        """Return one value of each case."""
        return [item[key] for item in self.items]


def read_pool(
    dataset_dir: str | Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[str | Mapping],
    splits: Sequence[str] = SPLITS,
) -> Pool:
    """Read the labelled cases of a dataset, whatever split they are in, and check them.

    Args:
        dataset_dir: folder that holds dataset.json, or the path of such a file.
        phases: the phases to use, in order.
        classes: class names, in order.
        clinical: the clinical columns to use.
        splits: the splits of dataset.json whose cases are pooled.

    Raises:
        FileNotFoundError: no such folder or dataset.json, or files that it names do not exist.
        ValueError: anything in it that training would stumble over later.
    """
    document = open_document(dataset_dir)
    phases, classes = name_list(phases, "`phases`"), name_list(classes, "`classes`")
    for split in name_list(splits, "`splits`"):
        if split not in SPLITS:
            raise ValueError(f"`splits` must be among {listing(split, SPLITS)}, found {split!r}")
    check_phases(document, phases)
    columns = select_columns(document.columns, clinical, str(document.file))
    items = [
        read_item(document, split, position, entry, phases, columns)
        for split in splits
        for position, entry in enumerate(document.entries(split))
    ]
    for item in items:
        class_index(document, item, classes)
    check_unique(document, items)
    check_files(document, items)
    found = {item["label"] for item in items}
    absent = [name for name in classes if name not in found]
    if absent:
        raise ValueError(
            f"class {absent[0]!r} must have at least one case in the splits [{', '.join(splits)}], found "
            f"none in {document.file}; take it out of `classes`, or pool more splits"
        )
    items.sort(key=lambda item: item["case"])
    return Pool(document.name, phases, classes, columns, items)


def write_fold(folder: Path, pool: Pool, fold: Fold) -> Path:
    """Write the dataset.json of one fold, which `training` reads like any other.

    Args:
        folder: folder that receives dataset.json.
        pool: the cases.
        fold: which of them are in which split.
    """
    content: dict[str, Any] = {
        "name": pool.name, "phases": pool.phases, "classes": pool.classes, "clinical": pool.columns
    }  # fmt: skip
    content |= {} if pool.positive is None else {"positive": pool.positive}
    for split in SPLITS:
        chosen = [pool.items[case] for case in getattr(fold, split)]
        content[split] = [
            {key: item[key] for key in ENTRY if item.get(key) not in (None, {})} for item in chosen
        ]
    text = json.dumps(content, indent=1) + "\n"
    return write_text(folder / "dataset.json", text)
