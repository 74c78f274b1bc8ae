"""Starting from other weights: what belongs to a clinical column goes to that of the same name and unit."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scripts.data.bounded_yaml import read_yaml
from scripts.networks import TableEncoder

logger = logging.getLogger(__name__)

BY_COLUMN = ("mean", "sd", "number", "number_missing", "category")
"""Tensors of a `TableEncoder` whose rows are columns, or the values of a category."""
Column = Mapping[str, Any]


def trained_config(path: str | Path) -> dict[str, Any]:
    """Return the configuration of a weights file, in ``configs`` beside its folder; {} for none."""
    for name in ("train.yaml", "inference.yaml"):
        file = Path(path).absolute().parent.parent / "configs" / name
        if file.is_file():
            try:
                content = read_yaml(file)
            except (OSError, ValueError):
                continue
            if isinstance(content, dict):
                return content
    return {}


def table_tensors(network: nn.Module) -> set[str]:
    """Return the names of the tensors in the state dict whose rows are clinical columns."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        if isinstance(module, TableEncoder)
        for name in BY_COLUMN
    }


@torch.no_grad()
def start_tables(network: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Give each clinical column the statistics and weights of the one of the same name and unit in the file.

    A category takes over each of its values by name. A column that the file does not have, has in another
    unit, or whose name cannot be known (there is no configuration beside the file, or another one), keeps
    what was fitted on the training cases. What was done is logged, column by column.

    Args:
        network: whose statistics have been fitted already.
        state: content of the weights file.
        path: the file, beside which the results folder's configuration has the names of its columns.
    """
    declared = trained_config(path).get("clinical")
    for prefix, encoder in network.named_modules():
        if not isinstance(encoder, TableEncoder):
            continue
        everything = encoder.state_dict(keep_vars=True)
        own = {name: everything[name] for name in BY_COLUMN}
        given = {
            name: state[key] for name in BY_COLUMN if (key := f"{prefix}.{name}" if prefix else name) in state
        }
        before = _columns(declared, given)
        for column in encoder.columns:
            logger.info(
                "clinical column %s: %s", _title(column), _start(column, encoder, own, before, given, path)
            )


def _start(
    column: Column,
    encoder: TableEncoder,
    own: Mapping[str, Tensor],
    before: Sequence[Column] | None,
    given: Mapping[str, Tensor],
    path: str | Path,
) -> str:
    """Take over one column, or leave it as it is; return what was done."""
    if before is None:
        return f"fitted anew, since no configs/train.yaml beside {path} names the columns of its table"
    same = next((other for other in before if other["name"] == column["name"]), None)
    if same is None or same["kind"] != column["kind"]:
        return "fitted anew, since the start weights have no such column"
    if same.get("unit") != column.get("unit"):
        return f"fitted anew, since its unit was {same.get('unit') or 'not given'} in the start weights"
    if column["kind"] == "number":
        here, there = _row(encoder.columns, column), _row(before, same)
        for name in BY_COLUMN[:2]:
            own[name][here] = given[name][there]
        fits = given["number"].shape[1] == own["number"].shape[1]
        for name in BY_COLUMN[2:4] if fits else ():
            own[name][here] = given[name][there]
        return f"statistics{' and weights' if fits else ''} of {path}"
    if given["category"].shape[1] != own["category"].shape[1]:
        return "learned anew, since the encoder of the start weights has another width"
    here, there = _row(encoder.columns, column), _row(before, same)
    shared = [value for value in column["values"] if value in same["values"]]
    for value in shared:
        own["category"][here + column["values"].index(value)] = given["category"][
            there + same["values"].index(value)
        ]
    own["category"][here + len(column["values"])] = given["category"][there + len(same["values"])]  # missing
    new = [value for value in column["values"] if value not in shared]
    return f"weights of {path}" + (f", but for what is new: {', '.join(new)}" if new else "")


def _columns(declared: Any, given: Mapping[str, Tensor]) -> list[Column] | None:
    """Return the columns that the tensors were trained with, None where that cannot be known."""
    if set(given) != set(BY_COLUMN) or not isinstance(declared, list):
        return None
    if not all(isinstance(column, dict) and {"name", "kind"} <= set(column) for column in declared):
        return None
    numbers = [column for column in declared if column["kind"] == "number"]
    values = [column.get("values", []) for column in declared if column["kind"] == "category"]
    rows = sum(map(len, values)) + len(values)
    fit = len(given["mean"]) == len(numbers) and len(given["category"]) == rows
    return declared if fit else None


def _row(columns: Sequence[Column], column: Column) -> int:
    """Return the row of a number among the numbers, or of a category's first value among all values."""
    earlier = [other for other in columns[: list(columns).index(column)] if other["kind"] == column["kind"]]
    return len(earlier) if column["kind"] == "number" else sum(len(other["values"]) + 1 for other in earlier)


def _title(column: Column) -> str:
    return f"{column['name']!r}" + (f" ({column['unit']})" if column.get("unit") else "")
