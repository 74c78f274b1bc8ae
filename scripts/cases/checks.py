# SPDX-License-Identifier: Apache-2.0
"""Checks across the cases of a dataset, and warnings about regions that the grid shows only in part."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.cases.document import Document, Item
from scripts.cases.masks import ROI, mask_name, masks_of
from scripts.cases.splits import LABELLED
from scripts.files.plain_text import listing, nearest
from scripts.files.processes import BadCases

logger = logging.getLogger(__name__)


def check_split(document: Document, split: str, items: Sequence[Item]) -> None:
    """Refuse an empty split; the message suggests a list with a similar name."""
    if items:
        return
    if split not in document.content:
        lists = [name for name, value in document.content.items() if isinstance(value, list) and name not in LABELLED]
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
            f"{where} must have a 'label', found none in {document.file}; add it, or list the case under 'unlabelled'"
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
    """Refuse a patient with cases in two splits, which would inflate the scores."""
    seen: dict[str, Item] = {}
    for item in (item for split in LABELLED for item in splits.get(split, ())):
        first = seen.setdefault(item["patient"], item)
        if first["split"] != item["split"]:
            raise ValueError(
                f"patient {item['patient']} must be in one split, found in {first['split']!r} (case "
                f"{first['case']}) and {item['split']!r} (case {item['case']}) of {document.file}; move all "
                "cases of a patient to one"
            )


def check_classes(document: Document, split: str, items: Sequence[Item], classes: Sequence[str]) -> None:
    """Refuse a split that lacks a class, for which the AUC would be undefined."""
    found = {item["label"] for item in items}
    for index, name in enumerate(classes):
        if index not in found:
            raise ValueError(
                f"class {name!r} must have at least one case in the {split} split, found none in "
                f"{document.file}; move a patient of that class there, or take the class out of `classes`"
            )


def check_files(document: Document, items: Sequence[Item]) -> None:
    """Refuse a dataset that names missing files; the error lists all of them."""
    files = [
        (item["case"], name, path)
        for item in items
        for name, path in [
            *((f"{phase!r}", path) for phase, path in item["image"].items()),
            *((mask_name(phase), path) for phase, path in masks_of(item["roi"]).items()),
        ]
    ]
    missing = [entry for entry in files if not os.path.isfile(entry[2])]
    if missing:
        lines = [
            f"case {case}, {name}: {path} does not exist; restore it, or take "
            f"{'the mask' if name.startswith(ROI) else 'the phase'} out of the case"
            for case, name, path in missing
        ]
        raise BadCases(lines, len(files), f"files named in {document.file}")


MOST_NAMES = 100


class CutRegions:
    """Collects the cases whose region the preprocessing could not keep whole.

    Attributes:
        exceeding: cases whose region is larger than the grid and was cropped to it.
        left_out: case -> share of its mask outside the region, if the mask has several components.
        pieces: case -> number of pieces of its mask or outline, none tiny, where there is not one; 0: nothing outlined.
    """

    def __init__(self) -> None:
        self.exceeding: set[str] = set()
        self.left_out: dict[str, float] = {}
        self.pieces: dict[str, int] = {}

    def add(self, case: str, cut: Mapping[str, Any]) -> bool:
        """Add what `cut_of` returned for a case, and return whether the case is cut and was not known before."""
        known = case in self.exceeding or case in self.left_out
        if cut["exceeds"]:
            self.exceeding.add(case)
        if cut["left_out"] > 0:
            self.left_out[case] = cut["left_out"]
        if cut["pieces"] not in (None, 1):
            self.pieces[case] = cut["pieces"]
        return not known and (cut["exceeds"] or cut["left_out"] > 0)

    def tell(self, total: int) -> None:
        """Log one warning of each kind that occurred."""
        if self.exceeding:
            logger.warning(
                "the region of interest is larger than the grid and has been cropped to it in %d of %d "
                "cases: %s; raise grid_size or spacing to see all of it",
                len(self.exceeding), total, _names(sorted(self.exceeding)),
            )  # fmt: skip
        if self.left_out:
            shares = [f"{case} ({percent(share)})" for case, share in sorted(self.left_out.items())]
            logger.warning(
                "the mask has several pieces, which do not fit into the grid together or of which some are tiny; "
                "in %d of %d cases the region is the largest piece with those that fit, which leaves out these "
                "shares of the mask's volume: %s; raise grid_size or spacing to see more, or set component of "
                "the region to all",
                len(self.left_out), total, _names(shares),
            )  # fmt: skip


def cut_of(item: Any) -> dict[str, Any]:
    """Return `exceeds`, `left_out` and `pieces` as the region and resampling transforms stored them in an item."""
    found = item if isinstance(item, Mapping) else {}
    return {
        "exceeds": bool(found.get("region_exceeds_grid", False)),
        "left_out": float(found.get("region_left_out", 0.0)),
        "pieces": found.get("region_pieces"),
    }


def percent(share: float) -> str:
    """Format a share for display.

    >>> percent(0.483), percent(0.0002)
    ('48%', '< 1%')
    """
    return "< 1%" if share < 0.01 else f"{share:.0%}"


def _names(names: list[str]) -> str:
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + rest
