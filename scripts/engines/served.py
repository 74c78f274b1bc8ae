"""Training that an annotation server starts: it hands over the cases, and takes back the weights."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scripts.data import Cases, read_cases
from scripts.data.splits import SPLITS
from scripts.evaluation.atomic import write_atomically
from scripts.processes import is_first_process
from scripts.transforms import FindPhasesd, ReadLabeld

from .running_config import running_config

logger = logging.getLogger(__name__)


def served_lists(config: Mapping[str, Any]) -> dict[str, list] | None:
    """Return the training and validation cases that a server wrote into the configuration, or None.

    MONAI Label replaces `train#dataset#data` and `validate#dataset#data`, which are expressions otherwise, by
    lists of {"image": path, "label": path}.
    """
    lists = {
        "training": config.get("train", {}).get("dataset", {}).get("data"),
        "validation": config.get("validate", {}).get("dataset", {}).get("data"),
    }
    if not isinstance(lists["training"], list):
        return None
    return {split: list(found) if isinstance(found, list) else [] for split, found in lists.items()}


def without_data(section: Mapping[str, Any], general: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `train` or `validate` of a configuration with the data that it has in general."""
    return {**section, "dataset": {**section["dataset"], "data": general["dataset"]["data"]}}


def training_cases(
    dataset_dir: str | Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[str | Mapping] = (),
    required: Sequence[str] = SPLITS,
) -> Cases:
    """Read the cases of a dataset.json, or take those that a server handed over.

    Arguments and errors are those of `scripts.data.read_cases`. A server's cases have no test split.

    Raises:
        ValueError: the server left no case to train on, or none to validate on.
    """
    lists = served_lists(running_config())
    if lists is None:
        return read_cases(dataset_dir, phases, classes, clinical, required)
    if not (lists["training"] and lists["validation"]):
        raise ValueError(
            "training on a server's labels needs cases to train and to validate on, found "
            f"{len(lists['training'])} and {len(lists['validation'])}; label at least 3 cases, and give "
            "val_split a value between 0 and 1"
        )
    read, find = ReadLabeld(classes=classes), FindPhasesd(phases=phases)
    splits = {split: [find(read(entry)) for entry in entries] for split, entries in lists.items()}
    counts = [sum(item["label"] == index for item in splits["training"]) for index in range(len(classes))]
    logger.info("%d training and %d validation cases from the server", *map(len, splits.values()))
    columns: list[Any] = [dict(column) for column in clinical if isinstance(column, Mapping)]
    return Cases(
        "labels of the server", list(phases), list(classes), columns,
        **splits, test=[], unlabelled=[], class_counts=counts,
    )  # fmt: skip


def hand_over(output_dir: str | Path, bundle_root: str | Path) -> None:
    """Copy the best weights into the bundle that the server answers from, if a server asked for them.

    The weights that were there before the first time are kept as ``models/model_before_labels.pt``.
    """
    if served_lists(running_config()) is None or not is_first_process():
        return
    models = Path(bundle_root) / "models"
    served, kept = models / "model.pt", models / "model_before_labels.pt"
    if served.is_file() and not kept.exists():
        write_atomically(kept, partial(shutil.copyfile, served))
    write_atomically(served, partial(shutil.copyfile, Path(output_dir) / "models" / "model.pt"))
    logger.info("the server's next answer uses the weights of %s", output_dir)
