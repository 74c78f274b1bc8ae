# SPDX-License-Identifier: Apache-2.0
"""An annotation server: training that it starts, with its cases, and the prediction sets in its answer."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from monai.transforms import MapTransform
from scripts import transforms  # whose reader of labels is imported where a server gives some
from scripts.cases.clinical import LARGEST, check_values
from scripts.cases.read import Cases, read_cases
from scripts.cases.splits import SPLITS
from scripts.engines.running import running_config
from scripts.files.atomic import write_atomically
from scripts.files.processes import is_first_process
from scripts.metrics.prediction_sets import FILE, Evidence, evidence_of
from scripts.transforms.clinical import EncodeClinicald
from scripts.transforms.server_inputs import FindPhasesd
from torch import Tensor

logger = logging.getLogger(__name__)


def served_lists(config: Mapping[str, Any]) -> dict[str, list] | None:
    """Return the training and validation cases that a server wrote into the configuration, or None.

    MONAI Label replaces `train#dataset#data` and `validate#dataset#data`, which otherwise are expressions, by
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
    """Return the section `train` or `validate` with the `data` entry of the general configuration."""
    return {**section, "dataset": {**section["dataset"], "data": general["dataset"]["data"]}}


def training_cases(
    dataset_dir: str | Path,
    phases: Sequence[str],
    classes: Sequence[str],
    clinical: Sequence[str | Mapping] = (),
    required: Sequence[str] = SPLITS,
    labels: bool = True,
    by: Sequence[str | Mapping] = (),
) -> Cases:
    """Read the cases of a dataset.json, or take those that a server provided.

    Arguments and errors are those of `scripts.cases.read_cases`. A server's cases have no test split.

    Raises:
        ValueError: the server provided no case of a class to train on, or none to validate on, or a label has a
            clinical value that the model does not read.
    """
    lists = served_lists(running_config())
    if lists is None:
        return read_cases(dataset_dir, phases, classes, clinical, required, labels, by)
    if not (lists["training"] and lists["validation"]):
        raise ValueError(
            "training on a server's labels needs cases to train and to validate on, found "
            f"{len(lists['training'])} and {len(lists['validation'])}; label at least 3 cases, and give "
            "val_split a value between 0 and 1"
        )
    if not labels and running_config().get("masks") == "phase":
        logger.info("a label is one mask: it teaches the outline of the reference phase, not those of the others")
    readers = transforms.server_labels
    read = readers.ReadLabeld(classes=classes) if labels else readers.ReadMaskd()
    find = FindPhasesd(phases=phases)
    columns: list[Any] = [dict(column) for column in clinical if isinstance(column, Mapping)]

    def case_of(entry: Mapping[str, Any]) -> dict[str, Any]:
        item = find(read(entry))
        if "clinical" in item:
            place = f"the label {entry['label']}"
            item["clinical"] = check_values(item["clinical"], columns, columns, item["case"], place)
        return item

    splits: dict[str, Any] = {split: [case_of(entry) for entry in entries] for split, entries in lists.items()}
    counts = [sum(item.get("label") == index for item in splits["training"]) for index in range(len(classes))]
    if labels and not all(counts):
        found = ", ".join(f"{count} {name}" for count, name in zip(counts, classes, strict=True))
        raise ValueError(
            f"training on a server's labels needs cases of every class to train on, found {found}, and "
            f"{len(splits['validation'])} to validate on; label more, the served weights stay"
        )
    logger.info("%d training and %d validation cases from the server", *map(len, splits.values()))
    return Cases(
        "labels of the server", list(phases), list(classes), columns,
        **splits, test=[], unlabelled=[], class_counts=counts, structures=[],
    )  # fmt: skip


def hand_over(output_dir: str | Path, bundle_root: str | Path) -> None:
    """Copy the best weights into the bundle with which the server predicts, if a server started the training.

    The weights that were there before the first time are kept as ``models/model_before_labels.pt``.
    """
    if served_lists(running_config()) is None or not is_first_process():
        return
    models = Path(bundle_root) / "models"
    served, kept = models / "model.pt", models / "model_before_labels.pt"
    if served.is_file() and not kept.exists():
        write_atomically(kept, partial(shutil.copyfile, served))
    (models / FILE).unlink(missing_ok=True)  # of the weights before
    for file in (Path(output_dir) / "models" / name for name in ("model.pt", FILE)):
        if file.is_file():
            write_atomically(models / file.name, partial(shutil.copyfile, file))
    logger.info("the server's next answer uses the weights of %s", output_dir)


UNKNOWN = ""
"""Stands for an unknown value."""
# fmt: off
TAKEN = frozenset([
    "image", "image_path", "label", "labels", "label_tag", "save_label", "model", "model_filename", "device",
    "description", "logging", "point", "box", "roi", "masks", "case", "patient", "clinical", "present", "pred",
    "result",
])
# fmt: on
"""Names that have another meaning in a request to MONAI Label."""


def case_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `displayable_configs` of a trained model: its options and their defaults.

    A model that reads a region has a `point` ("x y z", or "x y z side", in mm), which overrides any mask. Each
    clinical column is a text field for a number, and a list to choose from for a category; a value that is left
    unchanged is unknown.

    Args:
        config: merged configuration of the training, with the columns in `clinical` declared in full.

    >>> case_options({"region": {"_target_": "scripts.transforms.WholeVolumeRegiond"},
    ...               "clinical": [{"name": "sex", "kind": "category", "values": ["F", "M"]}]})
    {'sex': ['', 'F', 'M']}
    """
    whole = str(config["region"].get("_target_", "")).endswith("WholeVolumeRegiond")
    options: dict[str, Any] = {} if whole else {"point": UNKNOWN}
    for column in config["clinical"]:
        if column["name"] in TAKEN:
            logger.warning(
                "clinical column %r cannot be typed in in MONAI Label, where this name means something else; "
                "rename the column", column["name"],
            )  # fmt: skip
            continue
        category = column["kind"] == "category"
        options[column["name"]] = [UNKNOWN, *column["values"]] if category else UNKNOWN
    return options


def chosen_row(columns: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Tensor | None:
    """Return the row of the clinical table [1, T] that the options describe, or None if no value is known.

    Args:
        columns: full declarations of the columns.
        options: column -> value; an empty text, None, or the list of all choices, from which nothing was chosen, is
            unknown.

    Raises:
        ValueError: a value that is not a number, or a category that the column does not declare.

    >>> chosen_row([{"name": "age", "kind": "number"}], {"age": " 61.5"})
    tensor([[61.5000]])
    """
    values: dict[str, float | str] = {}
    for column in columns:
        value = options.get(column["name"])
        if value is None or not str(value).strip() or value == [UNKNOWN, *column.get("values", [])]:
            continue
        values[column["name"]] = _number(column["name"], value) if column["kind"] == "number" else str(value)
    if not values:
        return None
    return EncodeClinicald(columns=columns)({"clinical": values})["clinical"].unsqueeze(0)


def _number(name: str, value: Any) -> float:
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not abs(number) < LARGEST:
        raise ValueError(f"clinical value {name!r} must be a number, found {value!r:.80}; correct or empty it")
    return number


@lru_cache(maxsize=4)
def _evidence_at(model_file: str, _: tuple[int, ...]) -> Evidence | None:
    return evidence_of(model_file)


class PredictionSetsd(MapTransform):
    """Adds to ``item["result"]``, the answer of a server, the prediction sets of its class probabilities [K].

    The evidence is read again whenever it or the weights have changed, since a server may train them. Where a request
    names other weights (``model_filename``), there are no sets.

    Args:
        keys: key of the class probabilities.
        classes: class names.
        model_file: the weights file.
    """

    def __init__(self, keys: str = "pred", classes: Sequence[str] = (), model_file: str = "") -> None:
        super().__init__(keys)
        self.classes, self.model_file = list(classes), str(model_file)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item, file = dict(data), Path(self.model_file)
        if named := item.get("model_filename"):
            file = file.with_name(Path(str(named)).name)
        times = [one.stat().st_mtime_ns for one in (file, file.with_name(FILE)) if one.is_file()]
        evidence = _evidence_at(str(file), tuple(times))
        for key in self.key_iterator(item) if evidence is not None else ():
            probability = torch.as_tensor(item[key]).as_subclass(torch.Tensor).double().cpu().numpy()
            sets = evidence.described(probability[None], self.classes) if evidence else {}
            item["result"] = {**item.get("result", {}), "prediction_sets": sets}
        return item
