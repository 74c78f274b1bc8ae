# SPDX-License-Identifier: Apache-2.0
"""The file dataset.json: its top level and its entries."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.cases.clinical import Column, check_columns, check_values
from scripts.cases.masks import mask_name, structure_names
from scripts.cases.splits import LABELLED
from scripts.files.plain_text import check_safe_names, is_plain, listing

Item = dict[str, Any]
"""One case on its way through the transforms: case, patient, site, image {phase: path}, roi, box, clinical,
label, split. Absent phases are not in `image`; `roi` is the path of the case's mask, {phase: path} where the
phases have masks of their own, or None; `box` and `label` are there only where dataset.json gives them."""


OUTSIDE_VARIABLE = "BUNDLE_OUTSIDE_PATHS"
"""Environment variable that allows relative paths to leave the folder of dataset.json. It is not a configuration
key, since a configuration may come from the same untrusted source as the file."""


@dataclass(frozen=True)
class Document:
    """A dataset.json whose top level has been checked."""

    file: Path
    name: str
    phases: list[str]
    columns: list[Column]
    content: dict[str, Any]
    structures: list[str] = field(default_factory=list)  # names of the values 1, 2, ... of the masks

    def entries(self, split: str) -> list[Any]:
        """Return the entries listed under `split`, unchecked."""
        entries = self.content.get(split, [])
        if not isinstance(entries, list):
            raise ValueError(f"{self.file}: {split!r} must be a list of cases, found {type(entries).__name__}")
        return entries


def open_document(dataset_dir: str | Path) -> Document:
    """Read dataset.json and check its top level.

    Args:
        dataset_dir: the folder that holds dataset.json, or the path of the file itself.

    Raises:
        FileNotFoundError: no such folder or file.
        ValueError: unreadable, not JSON (the message gives the line), or without phases.
    """
    path = Path(dataset_dir).expanduser().absolute()
    file = path if path.suffix == ".json" else path / "dataset.json"
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"dataset folder {file.parent} does not exist; set dataset_dir or run `preparing` first"
        )
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; set dataset_dir or make the file with `preparing`")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{file} must be valid JSON, found in line {error.lineno}, column {error.colno}: {error.msg}; correct it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as UTF-8 text ({error}); check its permissions and encoding") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or extreme nesting
        raise ValueError(f"{file} must be standard JSON, found {error}; correct it") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold one JSON object, found a {type(content).__name__}")
    phases = name_list(content.get("phases"), f"'phases' in {file}")
    columns = check_columns(content.get("clinical", []), str(file))
    name = content.get("name", file.parent.name)
    if not isinstance(name, str) or not is_plain(name):
        raise ValueError(f"'name' in {file} must be a text in one line, found {name!r:.80}; correct it")
    structures = structure_names(content.get("structures"), f"'structures' in {file}")
    return Document(file, name, phases, columns, content, structures)


def name_list(names: Any, what: str) -> list[str]:
    """Return `names` as a list after checking that they are distinct, non-empty texts."""
    if (
        not isinstance(names, list | tuple)
        or not names
        or not all(isinstance(name, str) and name and is_plain(name) for name in names)
    ):
        raise ValueError(f"{what} must be a list of names, found {names!r:.200}")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{what} must be different names, found {twice!r} twice in {list(names)}")
    check_safe_names(names, what)
    return list(names)


def check_phases(document: Document, phases: Sequence[str]) -> None:
    """Refuse a phase that the dataset does not declare, suggesting the nearest."""
    for phase in phases:
        if phase not in document.phases:
            raise ValueError(
                f"phase {phase!r} is not among the phases {listing(phase, document.phases)} of "
                f"{document.file}; correct `phases`, or pass the overlay that belongs to the dataset"
            )


def read_items(document: Document, phases: Sequence[str], columns: Sequence[Column] = ()) -> list[Item]:
    """Check every entry of dataset.json, split by split with the unlabelled ones last; see `read_item`."""
    return [
        read_item(document, split, position, entry, list(phases), list(columns))
        for split in (*LABELLED, "unlabelled")
        for position, entry in enumerate(document.entries(split))
    ]


def read_item(
    document: Document, split: str, position: int, entry: Any, phases: list[str], columns: list[Column]
) -> Item:
    """Check one entry of dataset.json and make its paths absolute; the label remains a class name."""
    file = document.file
    case = entry.get("case") if isinstance(entry, dict) else None
    if not isinstance(case, str | int) or isinstance(case, bool) or case == "" or not is_plain(str(case)):
        raise ValueError(
            f"{file}: entry {position} of {split!r} must be an object with a 'case' name, found {entry!r:.80}"
        )
    image = entry.get("image")
    if not isinstance(image, dict):
        raise ValueError(f"case {case}: 'image' must be an object of phase: path, found {image!r:.80} in {file}")
    for name in ("patient", "site"):
        value = entry.get(name)
        if not isinstance(value, str | int | float | None) or not is_plain(str(value)):
            raise ValueError(
                f"case {case}: {name!r} must be a text in one line, found {value!r:.80} in {file}; correct it"
            )
    for phase in image:
        if phase not in document.phases:
            raise ValueError(
                f"case {case}: phase {phase!r:.80} is not among the phases {listing(phase, document.phases)} "
                f"of {file}; correct its name"
            )
    paths = {phase: _path(document, str(case), phase, image[phase]) for phase in phases if image.get(phase) is not None}
    if not paths:
        raise ValueError(
            f"case {case} ({split}): at least one of the phases [{', '.join(phases)}] must be present, found "
            f"only [{', '.join(phase for phase in image if image[phase] is not None)}] in {file}; add a "
            "phase or remove the case"
        )
    item: Item = {
        "case": str(case),
        "patient": str(case if entry.get("patient") is None else entry["patient"]),
        "site": None if entry.get("site") is None else str(entry["site"]),
        "image": paths,
        "roi": _roi(document, str(case), entry.get("roi"), image, phases),
        "clinical": check_values(entry.get("clinical"), document.columns, columns, str(case), str(file)),
        "split": split,
    }
    if entry.get("box") is not None:
        item["box"] = _box(document, str(case), entry["box"])
    if entry.get("label") is not None:
        item["label"] = entry["label"]
    return item


def _roi(
    document: Document, case: str, roi: Any, image: Mapping[str, Any], phases: Sequence[str]
) -> str | dict[str, str] | None:
    """Return the mask of a case, or those of its phases that are used; of others where these have none."""
    if not isinstance(roi, Mapping):
        return None if roi is None else _path(document, case, "roi", roi)
    masks = {phase: _path(document, case, mask_name(phase), path) for phase, path in roi.items() if path is not None}
    for phase in masks:
        if image.get(phase) is None:
            have = [name for name in image if image[name] is not None]
            raise ValueError(
                f"case {case}: a mask must be of a phase that the case has, {listing(str(phase), have)}, found "
                f"one of {phase!r:.80} in {document.file}; correct its name, or take the mask out"
            )
    used = {phase: masks[phase] for phase in phases if phase in masks}
    return used or masks or None


def _path(document: Document, case: str, phase: str, value: Any) -> str:
    """Make a path absolute; a relative one must stay inside the folder of dataset.json.

    Symbolic links are followed wherever they lead: whoever maintains the folder put them there.
    """
    if not isinstance(value, str) or not value or not is_plain(value):
        raise ValueError(f"case {case}: the path of {phase!r} must be a text, found {value!r:.80} in {document.file}")
    if os.path.isabs(value):
        return os.path.normpath(value)
    folder = os.path.normpath(document.file.parent)
    path = os.path.normpath(os.path.join(folder, value))
    if os.path.commonpath([folder, path]) != folder and not os.environ.get(OUTSIDE_VARIABLE):
        raise ValueError(
            f"case {case}: the relative path of {phase!r} must stay inside {folder}, found {value!r} in "
            f"{document.file}; write the absolute path if it is meant, or set {OUTSIDE_VARIABLE}=1"
        )
    return path


def _box(document: Document, case: str, value: Any) -> list[list[float]]:
    try:
        low, high = ([float(position) for position in corner] for corner in value)
        good = len(low) == len(high) == 3 and all(
            math.isfinite(b - a) and a < b for a, b in zip(low, high, strict=True)
        )
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError(
            f"case {case}: 'box' must be two corners [[x0, y0, z0], [x1, y1, z1]] in mm (RAS) with each "
            f"lower coordinate below the upper one, found {value!r:.80} in {document.file}"
        )
    return [low, high]
