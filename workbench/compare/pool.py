# SPDX-License-Identifier: Apache-2.0
"""All labelled cases of a dataset in one list, the dataset.json of each fold, and pooled predictions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from scripts.cases.checks import check_files, check_unique, class_index
from scripts.cases.clinical import Column, select_columns
from scripts.cases.document import Item, check_phases, name_list, open_document, read_item
from scripts.cases.groups import CaseValues
from scripts.cases.splits import LABELLED, SPLITS
from scripts.files.atomic import write_text
from scripts.files.plain_text import listing
from scripts.metrics.predictions import Predictions, read_predictions, write_predictions
from workbench.compare.folds import Fold
from workbench.compare.jobs import Job, Place

ENTRY = ("case", "patient", "site", "image", "roi", "box", "clinical", "label")


@dataclass(frozen=True)
class Pool:
    """The labelled cases of one dataset, sorted by name.

    Attributes:
        positive: the positive one of two classes, for the dataset.json of folds; it does not affect training.
    """

    name: str  # of the dataset
    phases: list[str]  # the chosen phases, in order
    classes: list[str]
    columns: list[Column]  # the chosen clinical columns, declared in full
    items: list[Item]  # the cases, with absolute paths and the label as a name
    positive: str | None = field(default=None, repr=False)
    structures: list[str] = field(default_factory=list)  # names of the values 1, 2, ... of the masks
    groups: CaseValues | None = field(default=None, repr=False)  # by which results are shown; no part of the record

    @property
    def sha256(self) -> str:
        """Hash of cases, labels, files and tables."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def values(self, key: str) -> list[Any]:
        """Return the value of `key` for each case."""
        return [item[key] for item in self.items]


def configured_pool(parser: ConfigParser, splits: Sequence[str]) -> Pool:
    """Return the pool that the configuration of a training names, with its positive class.

    Raises:
        ValueError: as for `read_pool`.
    """
    dataset_dir, phases, classes, clinical = (
        parser.get_parsed_content(key) for key in ("dataset_dir", "phases", "classes", "clinical")
    )
    pool = read_pool(dataset_dir, phases, classes, clinical, splits)
    return replace(pool, positive=parser.get_parsed_content("positive_class"))


def read_pool(
    dataset_dir: str | Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[str | Mapping],
    splits: Sequence[str] = SPLITS,
) -> Pool:
    """Read and check the labelled cases of a dataset, whatever split they are in.

    Args:
        dataset_dir: folder that holds dataset.json, or the path of such a file.
        clinical: the clinical columns to use.
        splits: the splits of dataset.json whose cases are pooled.

    Raises:
        FileNotFoundError: no such folder or dataset.json, or files that it names do not exist.
        ValueError: anything in it that would fail later in training.
    """
    document = open_document(dataset_dir)
    phases, classes = name_list(phases, "`phases`"), name_list(classes, "`classes`")
    for split in name_list(splits, "`splits`"):
        if split not in LABELLED:
            raise ValueError(f"`splits` must be among {listing(split, LABELLED)}, found {split!r}")
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
    return Pool(document.name, phases, classes, columns, items, structures=document.structures)


def write_fold(folder: Path, pool: Pool, fold: Fold) -> Path:
    """Write the dataset.json of one fold into a folder, in the usual form that `training` reads."""
    content: dict[str, Any] = {
        "name": pool.name, "phases": pool.phases, "classes": pool.classes, "clinical": pool.columns
    }  # fmt: skip
    content |= {} if pool.positive is None else {"positive": pool.positive}
    content |= {"structures": pool.structures} if pool.structures else {}
    for split in SPLITS:
        chosen = [pool.items[case] for case in getattr(fold, split)]
        content[split] = [{key: item[key] for key in ENTRY if item.get(key) not in (None, {})} for item in chosen]
    text = json.dumps(content, indent=1) + "\n"
    return write_text(folder / "dataset.json", text)


def site_counts(pool: Pool) -> dict[str, str]:
    """Return the cases of each site in words, e.g. ``12 cases: 5 low, 7 high``."""
    found = {}
    for site in sorted({str(item["site"]) for item in pool.items}):
        labels = [item["label"] for item in pool.items if str(item["site"]) == site]
        classes = ", ".join(f"{labels.count(name)} {name}" for name in pool.classes)
        found[site] = f"{len(labels)} {'case' if len(labels) == 1 else 'cases'}: {classes}"
    return found


def pooled_predictions(parts: Sequence[Predictions]) -> Predictions:
    r"""Average the predictions of each case over repeats and seeds.

    .. math:: p_i = \frac{1}{RS} \sum_{r=1}^{R} \sum_{s=1}^{S} p_{i r s}

    where :math:`p_{irs}` is the out-of-fold prediction of case i in repeat r with seed s. Within one repeat and
    seed every case is predicted once, since the test parts of the folds together contain all cases.

    Args:
        parts: test predictions of every job of one strategy.

    Returns:
        One row per case, sorted by name.
    """
    found: dict[str, list[np.ndarray]] = {}
    label: dict[str, int | None] = {}
    patient: dict[str, str] = {}
    for part in parts:
        labels, patients = part.labels or [None] * len(part.cases), part.patients or part.cases
        for i, case in enumerate(part.cases):
            found.setdefault(case, []).append(part.probabilities[i])
            label[case], patient[case] = labels[i], patients[i]
    cases = sorted(found)
    return Predictions(
        cases=cases,
        probabilities=np.stack([np.mean(found[case], axis=0) for case in cases]),
        classes=parts[0].classes,
        labels=[label[case] for case in cases],
        patients=[patient[case] for case in cases],
    )


def write_pooled(place: Place, jobs: Sequence[Job], positive: str | None = None) -> dict[str, Path]:
    """Write predictions/<strategy>.csv of each strategy, with the positive class; return the files by strategy."""
    files = {}
    for strategy in dict.fromkeys(job.strategy for job in jobs):
        chosen = [job for job in jobs if job.strategy == strategy]
        parts = [read_predictions(place.output(job) / "predictions.csv") for job in chosen]
        pooled = pooled_predictions(parts)
        data = (pooled.cases, pooled.probabilities, pooled.classes, pooled.labels)
        file = place.folder / "predictions" / f"{strategy}.csv"
        files[strategy] = write_predictions(file, *data, patients=pooled.patients, positive=positive)
    return files
