# SPDX-License-Identifier: Apache-2.0
"""Which structures the masks of a dataset show, and whether there is one mask per case or one per phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.cases.document import open_document
from scripts.cases.masks import structure_names
from scripts.cases.splits import LABELLED

LESION = "lesion"
"""Name of what a mask shows where dataset.json names no structures."""


def named_structures(structures: Sequence[str] | None, dataset_dir: str | Path) -> list[str]:
    """Return the names of the values 1, 2, ... of the masks.

    Args:
        structures: the names; None takes those of dataset.json, and where it has none, every value above 0
            counts as one lesion.
        dataset_dir: folder with dataset.json, or the path of such a file.

    Raises:
        ValueError: no list of different names.
    """
    if structures is not None:
        return structure_names(structures, "`structures`") or [LESION]
    return list(open_document(dataset_dir).structures) or [LESION]


def named_values(structures: Sequence[str]) -> list[str]:
    """Return the names of the values that a mask may hold; none where everything drawn is one lesion.

    >>> named_values(["wall", "lumen"]), named_values(["lesion"])
    (['wall', 'lumen'], [])
    """
    return [] if list(structures) == [LESION] else list(structures)


def mask_kind(masks: str | None, dataset_dir: str | Path) -> str:
    """Return ``case``, one mask per case, or ``phase``, one mask per phase.

    Args:
        masks: one of the two; None is ``phase`` where a case of dataset.json has several masks.
        dataset_dir: folder with dataset.json, or the path of such a file.
    """
    if masks is not None:
        return masks
    document = open_document(dataset_dir)
    entries = [entry for split in LABELLED for entry in document.entries(split)]
    several = any(isinstance(entry, Mapping) and isinstance(entry.get("roi"), Mapping) for entry in entries)
    return "phase" if several else "case"


def mask_count(masks: str, num_phases: int) -> int:
    """Return how many masks a network outlines in a case.

    >>> mask_count("case", 3), mask_count("phase", 3)
    (1, 3)
    """
    return num_phases if masks == "phase" else 1
