# SPDX-License-Identifier: Apache-2.0
"""What a dataset holds: cases, classes, missing phases, and the grids of the volumes from their headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scripts.cases.document import Document, Item, open_document, read_items
from scripts.cases.splits import SPLITS, patients_known
from scripts.volumes.grid import open_phase, ras_axes

MOST_HEADERS = 300  # Volumes whose headers are read per phase; of more, this many spread evenly over the list


def volume_grids(items: Sequence[Item], phases: Sequence[str]) -> dict[str, Any]:
    """Read spacing and number of voxels along right, anterior and superior for each phase.

    Returns:
        For each phase `present` (volumes), `n` (headers read), `spacing` in mm and `voxels`, each a list of
        [minimum, median, maximum] per axis; where none can be read, `reason` instead of the last two. Where
        some cannot, `unreadable` counts them.
    """
    return {phase: _grids_of_phase(items, phase) for phase in phases}


def _grids_of_phase(items: Sequence[Item], phase: str) -> dict[str, Any]:
    present = [item for item in items if phase in item["image"]]
    if not present:
        return {"present": 0, "n": 0, "reason": "no case has this phase"}
    chosen = np.unique(np.linspace(0, len(present) - 1, min(len(present), MOST_HEADERS)).round().astype(int))
    spacings, voxels, errors = [], [], []
    for index in chosen:
        item = present[index]
        try:
            volume = open_phase(item["image"][phase], item["case"], phase)
        except (OSError, ValueError) as error:
            errors.append(" ".join(str(error).split()))
            continue
        axes = ras_axes(volume)
        spacings.append(volume.spacing[axes])
        voxels.append(np.array(volume.shape)[axes])
    found: dict[str, Any] = {"present": len(present), "n": len(spacings)}
    if errors:
        found["unreadable"] = len(errors)
    if not spacings:
        return found | {"reason": errors[0]}
    return found | {"spacing": _ranges(spacings, 3), "voxels": _ranges(voxels, 1)}


def _ranges(values: Sequence[np.ndarray], digits: int) -> list[list[float]]:
    """Return [minimum, median, maximum] of each axis."""
    columns = np.quantile(np.stack(values).astype(float), [0, 0.5, 1], axis=0).T
    return [[round(float(value), digits) for value in axis] for axis in columns]


Summary = dict[str, Any]
"""What `summarise_dataset` returns, or {"reason": why there is none}; it goes into JSON as it is."""


def summarise_dataset(dataset_dir: str | Path, phases: Sequence[str]) -> Summary:
    """Count the cases of a dataset and read the headers of its volumes; never fails.

    Args:
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
