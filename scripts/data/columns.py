"""Which clinical columns a model reads, declared in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.clinical import Column, check_columns, select_columns
from scripts.data.document import open_document


def declared_columns(clinical: Sequence[str | Mapping[str, Any]], dataset_dir: str | Path) -> list[Column]:
    """Return the declarations of the columns in `clinical`.

    A trained model's columns are declared in full, and are then taken as they are: the dataset is not opened
    and need not have a table. A column given by its name is looked up in dataset.json.

    Args:
        clinical: names of columns, or their declarations.
        dataset_dir: folder that holds dataset.json, or the path of such a file.

    Raises:
        FileNotFoundError: a name is given, and there is no dataset.json.
        ValueError: a column that the dataset does not declare, or an incomplete declaration.

    >>> declared_columns([{"name": "age", "kind": "number"}], "/nowhere")
    [{'name': 'age', 'kind': 'number'}]
    """
    if all(isinstance(entry, Mapping) and "kind" in entry for entry in clinical):
        return check_columns([dict(entry) for entry in clinical if isinstance(entry, Mapping)], "`clinical`")
    document = open_document(dataset_dir)
    return select_columns(document.columns, clinical, str(document.file))
