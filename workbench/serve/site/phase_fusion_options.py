# SPDX-License-Identifier: Apache-2.0
"""The options that MONAI Label and its clients send, and the type and range of each."""

from __future__ import annotations

import math
import re
from typing import Any


def is_number(low: float, high: float, whole: bool = False):
    def holds(value: Any) -> bool:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return plain and low <= value <= high and not (whole and value != int(value))

    return holds


def is_text(pattern: str):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def is_either(value: Any) -> bool:
    return isinstance(value, bool) or str(value).lower() in ("true", "false")


def are_numbers(value: Any) -> bool:
    """Whether this is a number, numbers between blanks, or a list of such; empty means unknown."""
    if isinstance(value, list):
        return len(value) <= 16 and all(map(are_numbers, value))
    if isinstance(value, str):
        try:
            return all(is_number(-1e9, 1e9)(float(part)) for part in value.split())
        except ValueError:
            return False
    return value is None or is_number(-1e9, 1e9)(value)


OPTIONS = {
    "max_epochs": ("a whole number from 1 to 10000", is_number(1, 10_000, whole=True)),
    "val_split": ("a number from 0 to 1, or -1", lambda value: value == -1 or is_number(0, 1)(value)),
    "device": ("cpu, cuda or cuda:N", is_text(r"|cpu|cuda|cuda:\d{1,2}|NVIDIA[\w \-:.()]*")),
    "gpus": ("all, or numbers with commas", is_text(r"|all|\d{1,2}(,\d{1,2})*")),
    "run_id": ("empty, 'run' or 'training'", is_text("|run|training")),
    "tracking": ("None: nothing is sent elsewhere", lambda value: value in (None, "", "None", "none")),
    "tracking_uri": ("empty: nothing is sent elsewhere", lambda value: value in (None, "")),
    "tracking_experiment_name": ("empty: nothing is sent elsewhere", lambda value: value in (None, "")),
    "logging": ("a level", is_text("(?i)debug|info|warning|error")),
    "label_tag": ("letters, digits, '_' and '-'", is_text(r"[\w-]{1,100}")),
    "result_extension": ("a file ending", is_text(r"|\.nii|\.nii\.gz|\.nrrd|\.json")),
    "result_dtype": ("a type of voxels", is_text(r"|u?int(8|16|32)|float32")),
    "max_workers": ("a whole number from 1 to 64", is_number(1, 64, whole=True)),
    "max_batch_size": ("a whole number from 0 to 1024", is_number(0, 1024, whole=True)),
    "box": ("two corners, [[x, y, z], [x, y, z]] in mm", are_numbers),
    "point": ("[x, y, z] in mm, and the side where it is known", are_numbers),
    "client_id": ("a name", lambda value: value is None or is_text(r"(\w[\w .:@\-]{0,199})?")(value)),
}
SWITCHES = ["pretrained", "multi_gpu", "multi_node", "save_label", "result_compress", "restore_label_idx", "largest_cc"]
OPTIONS |= dict.fromkeys(SWITCHES, ("true or false", is_either))
"""Options of MONAI Label and its clients -> the rule in words, and as a function."""
