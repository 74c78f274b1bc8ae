# SPDX-License-Identifier: Apache-2.0
"""Reads the cases of a dataset.json and checks all of it before anything else starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts import cases  # new_table is loaded only where there is a clinical table, groups for an evaluation
from scripts.cases.checks import check_classes, check_files, check_patients, check_split, check_unique, class_index
from scripts.cases.clinical import Column, check_columns, select_columns
from scripts.cases.document import Item, check_phases, name_list, open_document, read_item, read_items
from scripts.cases.folder import case_folders, read_case_folder
from scripts.cases.masks import each_mask
from scripts.cases.splits import LABELLED, SPLITS

if TYPE_CHECKING:
    from scripts.cases.groups import CaseValues


@dataclass(frozen=True)
class Cases:
    """The cases of one dataset, with paths made absolute and labels as indices into `classes`."""

    name: str
    phases: list[str]
    classes: list[str]  # class names; a label is an index into them
    clinical: list[Column]
    training: list[Item]  # cases on which the weights are fitted
    validation: list[Item]  # cases that steer training (schedule, early stopping, choice of checkpoint)
    test: list[Item]  # cases evaluated once, at the end
    unlabelled: list[Item]
    class_counts: list[int]  # number of training cases of each class
    structures: list[str] = field(default_factory=list)  # names of the values 1, 2, ... of the masks
    calibration: list[Item] = field(default_factory=list)  # cases for prediction sets, which steer nothing
    groups: CaseValues | None = None  # what the cases have in the columns by which results are shown


def read_cases(
    dataset_dir: str | Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[str | Mapping] = (),
    required: Sequence[str] = SPLITS,
    labels: bool = True,
    by: Sequence[str | Mapping] = (),
) -> Cases:
    """Read the cases of a dataset, or raise a one-line error.

    Args:
        dataset_dir: folder that holds dataset.json, or the path of such a file.
        phases: the phases to use, in order; the dataset may have more.
        clinical: the clinical columns to use, by name or as declarations; in an evaluation, the dataset may
            lack columns that a trained model declares.
        required: splits that must have cases (training and validation of every class); an evaluation needs one.
        labels: whether every case of a split must have one of `classes` as its label. A network that outlines
            learns from masks alone: `classes` may then be empty, and `label` is set only where every case of
            the splits has one, so that all items of a batch have the same keys.

    Raises:
        FileNotFoundError: no such folder or dataset.json, or files that it names do not exist.
        ValueError: anything that would make training fail later.
    """
    document = open_document(dataset_dir)
    phases = name_list(phases, "`phases`")
    classes = name_list(classes, "`classes`") if labels or classes else []
    check_phases(document, phases)
    columns = select_columns(document.columns, clinical, str(document.file), "training" in required)
    splits: dict[str, list[Item]] = {}
    for split in (*LABELLED, "unlabelled"):
        splits[split] = [
            read_item(document, split, *entry, phases, columns) for entry in enumerate(document.entries(split))
        ]
        if split in required:
            check_split(document, split, splits[split])
    listed = [item for split in LABELLED for item in splits[split]]
    labelled = labels or (bool(classes) and all("label" in item for item in listed))
    for item in listed if labelled else []:
        item["label"] = class_index(document, item, classes)
    for item in splits["unlabelled"] if labelled else [*listed, *splits["unlabelled"]]:
        item.pop("label", None)
    check_unique(document, [item for items in splits.values() for item in items])
    check_patients(document, splits)
    for split in ("training", "validation"):
        if split in required and labels:
            check_classes(document, split, splits[split], classes)
    check_files(document, [item for items in splits.values() for item in items])
    if columns and "training" not in required:
        evaluated = [item for split in required for item in splits[split]]
        line = cases.new_table.lacking(evaluated, columns, str(document.file), remedy="")
        print(f"{line}\n" if line else "", end="", flush=True)
    counts = [sum(item.get("label") == index for item in splits["training"]) for index in range(len(classes))]
    groups = cases.groups.read_groups(document, by, listed) if by else None
    return Cases(
        document.name, phases, classes, columns, **splits,
        class_counts=counts, structures=document.structures, groups=groups,
    )  # fmt: skip


def read_unlabelled(
    dataset_dir: str | Path,
    phases: Sequence[str],
    clinical: Sequence[str | Mapping] = (),
    classes: Sequence[str] | None = None,
    clinical_table: str | Path | None = None,
    keep_bad: bool = False,
) -> list[Item]:
    """Read cases to be classified: all cases of a dataset.json, or a folder with one sub-folder per case.

    In a folder, each file is named after its phase (`portal.nii.gz`, `.nii`, `.nrrd`, `.mha`, `.mhd`); a
    file named lesion, roi, mask or seg is the mask of the region of interest.

    Args:
        dataset_dir: folder with a dataset.json, path of such a file, or folder of case folders.
        phases: the phases of the model, in order; a case needs at least one of them.
        clinical: the clinical columns of the model; a dataset need not have them.
        classes: class names of the model. `label` is set only if these are given and *every* case is labelled
            with one of them, so that all items of a batch have the same keys.
        clinical_table: CSV or Excel file with the model's columns by case or patient; what cases lack is
            printed once.
        keep_bad: keep cases with missing files, and folders that are no case (as items with a `problem`); both
            then fail when loaded, otherwise here.

    Raises:
        FileNotFoundError: no such folder, or files that a dataset.json names do not exist.
        ValueError: no cases, or a case that cannot be read.
    """
    phases = name_list(phases, "`phases`")
    root = Path(dataset_dir).expanduser()
    if root.is_dir() and not (root / "dataset.json").exists():
        declared = [dict(column) for column in clinical if isinstance(column, Mapping)]
        return _with_table(_read_folder(root, phases, keep_bad), declared, clinical_table, str(root))
    document = open_document(dataset_dir)
    check_phases(document, phases)
    columns = select_columns(document.columns, clinical, str(document.file), required=False)
    items = read_items(document, phases, columns)
    if not items:
        raise ValueError(f"{document.file} must list at least one case, found none; add cases under 'unlabelled'")
    check_unique(document, items)
    if not keep_bad:
        check_files(document, items)
    labelled = classes is not None and all(item.get("label") in classes for item in items)
    for item in items:
        label = item.pop("label", None)
        if classes is not None and labelled:
            item["label"] = list(classes).index(label)
    return _with_table(items, columns, clinical_table, str(document.file))


def _with_table(items: list[Item], columns: list[Column], clinical_table: str | Path | None, where: str) -> list[Item]:
    """Return the cases with the values of a clinical table, if given, and print what they lack."""
    notes: list[str] = []
    if clinical_table is not None:
        items, notes = cases.new_table.with_clinical_table(items, clinical_table, columns)
    where = where if clinical_table is None else str(clinical_table)
    line = cases.new_table.lacking(items, columns, where) if columns else None
    said = [text if text.startswith("warning: ") else f"note: {text}" for text in [*notes, *([line] if line else [])]]
    print("".join(f"{text}\n" for text in said), end="", flush=True)
    return items


def _read_folder(root: Path, phases: list[str], keep_bad: bool) -> list[Item]:
    folders = case_folders(root)
    if not folders:
        raise ValueError(
            f"{root} must hold a dataset.json or one sub-folder per case, found neither; check dataset_dir"
        )
    items: list[Item] = []
    for folder in folders:
        try:
            files = read_case_folder(folder.absolute(), phases)
            if not files.images:
                found = ", ".join(path.name for path in files.others.values()) or "no image file"
                raise ValueError(
                    f"case {files.case}: {folder} must hold at least one of the phases [{', '.join(phases)}] "
                    f"as <phase>.nii.gz, .nii, .nrrd, .mha or .mhd, found {found}; rename the files or move "
                    "the folder away"
                )
        except (ValueError, OSError) as error:
            if not keep_bad:
                raise
            items.append(_item(folder.name, {}, None) | {"problem": str(error)})
            continue
        image = {phase: str(path) for phase, path in files.images.items()}
        items.append(_item(files.case, image, each_mask(files.roi, str)))
    return items


def _item(case: str, image: dict[str, str], roi: str | dict[str, str] | None) -> Item:
    """Return the item of a case of which only the files are known."""
    item = {"case": case, "patient": case, "site": None, "image": image, "roi": roi, "clinical": {}}
    return item | {"split": "unlabelled"}


def declared_columns(clinical: Sequence[str | Mapping[str, Any]], dataset_dir: str | Path) -> list[Column]:
    """Return the declarations of the columns in `clinical`.

    A trained model's columns are declared in full and used as they are: the dataset is not opened and need
    not have a table. A column given by name is looked up in dataset.json.

    Raises:
        FileNotFoundError: a name is given but there is no dataset.json.
        ValueError: a column that the dataset does not declare, or an incomplete declaration.

    >>> declared_columns([{"name": "age", "kind": "number"}], "/nowhere")
    [{'name': 'age', 'kind': 'number'}]
    """
    if all(isinstance(entry, Mapping) and "kind" in entry for entry in clinical):
        return check_columns([dict(entry) for entry in clinical if isinstance(entry, Mapping)], "`clinical`")
    document = open_document(dataset_dir)
    return select_columns(document.columns, clinical, str(document.file))
