"""What a dataset.json holds, counted: splits, classes, missing phases, sites, and grids of the volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.data.document import Document, Item, open_document, read_items
from scripts.data.splits import SPLITS, patients_known

from .volume_grids import volume_grids

Summary = dict[str, Any]
"""What `summarise_dataset` returns, or {"reason": why there is none}; it goes into JSON as it is."""


def summarise_dataset(dataset_dir: str | Path, phases: Sequence[str]) -> Summary:
    """Count the cases of a dataset and read the headers of its volumes; never fails.

    Args:
        dataset_dir: folder of dataset.json.
        phases: the phases that are used; only these are counted.

    Returns:
        name, phases and classes that the file declares, `splits` ({split: cases, patients (None: unknown),
        classes {class: cases}, missing {phase: {class: cases without it}}}), `sites` ({site: {class: cases}},
        of labelled cases that name one) and `volumes` (of `volume_grids`); or only `reason`, in one line,
        where the file is gone or cannot be read.
    """
    try:
        document = open_document(dataset_dir)
        items = read_items(document, phases)
    except (OSError, ValueError) as error:
        return {"reason": " ".join(str(error).split())}
    classes = _classes(document, items)
    return {
        "name": document.name,
        "phases": document.phases,
        "classes": classes,
        "splits": _splits(items, phases, classes),
        "sites": _sites(items),
        "volumes": volume_grids(items, phases),
    }


def _classes(document: Document, items: Sequence[Item]) -> list[str]:
    """Return the classes that the file declares, or else those of its cases."""
    declared = document.content.get("classes")
    if isinstance(declared, list):
        return [str(name) for name in declared]
    return sorted({str(item["label"]) for item in items if "label" in item})


def _splits(items: Sequence[Item], phases: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    found = {}
    known = patients_known(items)
    for split in (*SPLITS, "unlabelled"):
        cases = [item for item in items if item["split"] == split]
        if not cases:
            continue
        labels = Counter(str(item["label"]) for item in cases if "label" in item)
        missing = {
            phase: dict(Counter(str(item.get("label")) for item in cases if phase not in item["image"]))
            for phase in phases
        }
        found[split] = {
            "cases": len(cases),
            "patients": len({item["patient"] for item in cases}) if known else None,
            "classes": {name: labels[name] for name in [*classes, *sorted(set(labels) - set(classes))]},
            "missing": missing,
        }
    return found


def _sites(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    sites: dict[str, Counter[str]] = {}
    for item in items:
        if item["site"] is not None and "label" in item:
            sites.setdefault(item["site"], Counter())[str(item["label"])] += 1
    return {site: dict(sites[site]) for site in sorted(sites)}
