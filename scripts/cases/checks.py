"""What must hold between the cases of a dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from scripts.cases.document import Document, Item
from scripts.cases.splits import SPLITS
from scripts.files.plain_text import listing, nearest
from scripts.files.processes import BadCases


def check_split(document: Document, split: str, items: Sequence[Item]) -> None:
    """Refuse an empty split; says so where the list has another name."""
    if items:
        return
    if split not in document.content:
        lists = [
            name for name, value in document.content.items() if isinstance(value, list) and name not in SPLITS
        ]
        other = nearest(split, lists, cutoff=0.3)
        found = f"found no {split!r}" + (f" but {other!r}" if other else "")
    else:
        found = "found an empty list"
    raise ValueError(
        f"{document.file} must list at least one case under {split!r}, {found}; list cases there, or make "
        "the splits with `preparing`"
    )


def class_index(document: Document, item: Item, classes: Sequence[str]) -> int:
    """Return the index of a case's label in `classes`."""
    label, where = item.get("label"), f"case {item['case']} ({item['split']})"
    if label is None:
        raise ValueError(
            f"{where} must have a 'label', found none in {document.file}; add it, or list the case under "
            "'unlabelled'"
        )
    if not isinstance(label, str):
        raise ValueError(
            f"{where}: the label must be a class name of [{', '.join(classes)}], found {label!r} in "
            f"{document.file}; write the name, not a number"
        )
    if label not in classes:
        raise ValueError(
            f"{where}: label {label!r} is not among the classes {listing(label, classes)}, found in "
            f"{document.file}; correct the label or `classes`"
        )
    return list(classes).index(label)


def check_unique(document: Document, items: Sequence[Item]) -> None:
    """Refuse a case that is listed twice."""
    seen: dict[str, str] = {}
    for item in items:
        case, split = item["case"], item["split"]
        if case in seen:
            raise ValueError(
                f"case {case} must be listed once, found in {seen[case]!r} and again in {split!r} of "
                f"{document.file}; remove one entry or give each study its own case name"
            )
        seen[case] = split


def check_patients(document: Document, splits: Mapping[str, Sequence[Item]]) -> None:
    """Refuse a patient whose cases are in two splits: the score would be inflated."""
    seen: dict[str, Item] = {}
    for item in (item for split in SPLITS for item in splits[split]):
        first = seen.setdefault(item["patient"], item)
        if first["split"] != item["split"]:
            raise ValueError(
                f"patient {item['patient']} must be in one split, found in {first['split']!r} (case "
                f"{first['case']}) and {item['split']!r} (case {item['case']}) of {document.file}; move all "
                "cases of a patient to one"
            )


def check_classes(document: Document, split: str, items: Sequence[Item], classes: Sequence[str]) -> None:
    """Refuse a split that lacks a class: its AUC would not be defined."""
    found = {item["label"] for item in items}
    for index, name in enumerate(classes):
        if index not in found:
            raise ValueError(
                f"class {name!r} must have at least one case in the {split} split, found none in "
                f"{document.file}; move a patient of that class there, or take the class out of `classes`"
            )


def check_files(document: Document, items: Sequence[Item]) -> None:
    """Refuse a dataset that names files which do not exist; all files are looked for."""
    files = [
        (item["case"], phase, path)
        for item in items
        for phase, path in [*item["image"].items(), ("roi", item["roi"])]
        if path is not None
    ]
    missing = [entry for entry in files if not os.path.isfile(entry[2])]
    if missing:
        lines = [
            f"case {case}, {phase!r}: {path} does not exist; restore it, or take "
            f"{'the mask' if phase == 'roi' else 'the phase'} out of the case"
            for case, phase, path in missing
        ]
        raise BadCases(lines, len(files), f"files named in {document.file}")
