"""What a user may type in for one case in an annotation tool: where to look, and clinical values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from scripts.transforms import EncodeClinicald

logger = logging.getLogger(__name__)

UNKNOWN = ""
"""What stands for a value that is not known."""
# fmt: off
TAKEN = frozenset([
    "image", "image_path", "label", "labels", "label_tag", "save_label", "model", "model_filename", "device",
    "description", "logging", "point", "box", "roi", "case", "patient", "clinical", "present", "pred",
    "result",
])
# fmt: on
"""Names that mean something else in a request to MONAI Label."""


def case_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `displayable_configs` of a trained model: its options and their defaults.

    A model that looks at a region has a `point` ("x y z", or "x y z side", in mm), which overrules any mask.
    Each clinical column is a text for a number, and a list to choose from for a category; what is left as it
    is, is unknown.

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
    """Return the row of the clinical table [1, T] that the options stand for, or None where none is known.

    Args:
        columns: full declarations of the columns.
        options: column -> value; an empty text, None, or a list, of which nothing was chosen yet, is unknown.

    Raises:
        ValueError: a number that is none, or a category that the column does not declare.

    >>> chosen_row([{"name": "age", "kind": "number"}], {"age": " 61.5"})
    tensor([[61.5000]])
    """
    values: dict[str, float | str] = {}
    for column in columns:
        value = options.get(column["name"])
        if isinstance(value, list | tuple) or value is None or not str(value).strip():
            continue
        values[column["name"]] = _number(column["name"], value) if column["kind"] == "number" else str(value)
    if not values:
        return None
    return EncodeClinicald(columns=columns)({"clinical": values})["clinical"].unsqueeze(0)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not torch.tensor(number).isfinite():
        raise ValueError(
            f"clinical value {name!r} must be a number, found {value!r}; correct it, or leave it empty"
        )
    return number
