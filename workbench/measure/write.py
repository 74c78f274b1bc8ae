# SPDX-License-Identifier: Apache-2.0
"""What measuring writes: measures.csv, a dataset.json with clinical columns, and the overlay that trains on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from scripts.cases.clinical import Column
from scripts.cases.document import Document, Item, open_document, read_items
from scripts.cases.splits import LABELLED
from scripts.engines.running import from_here, training_command
from scripts.files.atomic import write_atomically, write_table, write_text
from scripts.files.plain_text import check_from_data, literal
from workbench.measure.columns import Measure, Values

CSV, OVERLAY = "measures.csv", "measures.yaml"
MARK = "measures"  # Key of dataset.json that lists the columns which are measures
DIGITS = 6  # Of a number in tables


def check_replaceable(folder: Path, document: Document | None) -> None:
    """Refuse a folder whose dataset.json is the one that is read, or was not written by measuring."""
    file = folder / "dataset.json"
    if not file.exists() or document is None:
        return
    if file.samefile(document.file) or MARK not in open_document(file).content:
        raise ValueError(
            f"output_dir must be a folder of its own, found {file}, which measuring did not write; choose another "
            "--output_dir"
        )


def rounded(value: float | None) -> float | None:
    """Return a number with `DIGITS` significant digits, which the table and dataset.json share.

    >>> rounded(123.456789), rounded(None)
    (123.457, None)
    """
    return None if value is None else float(f"{value:.{DIGITS}g}")


def write_measures(folder: Path, items: Sequence[Item], values: Mapping[str, Values]) -> Path:
    """Write measures.csv: a row for each case, a column for each measure with its unit in brackets."""
    every = list(next(iter(values.values())))
    rows = [
        [item["case"], item["patient"], *(rounded(values[item["case"]][measure]) for measure in every)]
        for item in items
    ]
    return write_table(folder / CSV, ["case", "patient", *(measure.header for measure in every)], rows)


def write_dataset(
    folder: Path, document: Document, values: Mapping[str, Values], chosen: Sequence[Measure], told: str
) -> Path:
    """Write a copy of dataset.json with measures as clinical columns, once it can be read back.

    Paths are absolute. Columns of the same names, of an earlier measuring, are replaced.

    Args:
        told: line that says where the measures come from, for the report.
    """
    content = dict(document.content)
    content["clinical"] = with_measures(document.columns, chosen)
    content[MARK] = [measure.name for measure in chosen]
    content["preparation"] = [*content.get("preparation", []), told]
    names = {measure.name for measure in chosen}
    every = read_items(document, document.phases, document.columns)
    for split in (*LABELLED, "unlabelled"):
        if split not in content:
            continue
        items = [item for item in every if item["split"] == split]
        content[split] = [
            _entry(entry, item, names, {m.name: rounded(values[item["case"]][m]) for m in chosen})
            for entry, item in zip(document.entries(split), items, strict=True)
        ]
    file = folder / "dataset.json"

    def write(temporary: Path) -> None:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        again = open_document(temporary)
        read_items(again, again.phases, again.columns)

    return write_atomically(file, write)


def _entry(entry: Mapping[str, Any], item: Item, names: set[str], values: Mapping[str, float | None]) -> dict[str, Any]:
    """Return an entry of dataset.json with absolute paths and the measures that are known."""
    clinical = {name: value for name, value in (entry.get("clinical") or {}).items() if name not in names}
    clinical |= {name: value for name, value in values.items() if value is not None}
    changed = {"image": item["image"], "clinical": clinical} | ({"roi": item["roi"]} if item["roi"] else {})
    return dict(entry) | changed


def with_measures(columns: Sequence[Column], chosen: Sequence[Measure]) -> list[Column]:
    """Return the columns of a dataset and the measures behind them."""
    names = {measure.name for measure in chosen}
    return [*(column for column in columns if column["name"] not in names), *(measure.column for measure in chosen)]


def write_overlay(folder: Path, document: Document, chosen: Sequence[Measure]) -> Path:
    """Write measures.yaml, to be passed behind train.yaml and data.yaml: the dataset and its columns."""
    columns = with_measures(document.columns, chosen)
    check_from_data({"clinical": columns}, OVERLAY)
    rows = (
        ("dataset_dir", literal(str(folder)), "folder with dataset.json, whose clinical columns hold measures"),
        ("clinical", columns, "columns of the clinical table"),
    )
    lines = [
        f"# Overlay for {document.name}, written by `measuring`: its measures as columns of the clinical table.",
        "# Pass it behind data.yaml, to any strategy with a table; each column is standardised on the training split.",
        "",
        *(f"{key}: {_flow(value)}  # {comment}" for key, value, comment in rows),
    ]
    return write_text(folder / OVERLAY, "\n".join(lines) + "\n")


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def next_commands(folder: Path, document: Document | None) -> str:
    """Return what can be done with the measures."""
    if document is None:
        return f"\nnext: give them to `inferring` by --clinical_table {from_here(folder / CSV)}"
    data = document.file.parent / "data.yaml"
    overlays = [*([from_here(data)] if data.is_file() else []), from_here(folder / OVERLAY), "configs/fusion/film.yaml"]
    return f"\nnext:\n  {training_command(overlays)}"
