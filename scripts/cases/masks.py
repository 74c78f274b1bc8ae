# SPDX-License-Identifier: Apache-2.0
"""The masks of a case, one for all its phases or one per phase, and the structures that their values name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scripts.files.plain_text import check_safe_names, is_plain
from scripts.files.processes import work_through
from scripts.volumes.mask import distinct
from scripts.volumes.open import open_volume
from scripts.volumes.volume import Volume, bad_volume

ROI = "roi"
"""What stands for the phase of a mask that serves all phases of a case."""
MOST_STRUCTURES = 254
"""Structures at most: masks are uint8, 0 is the background and 255 what nobody has drawn."""
T = TypeVar("T")
S = TypeVar("S")


def structure_names(names: Any, where: str) -> list[str]:
    """Return `structures` once it is known to be a list of different names, the first that of the value 1.

    Args:
        names: as it was read; None and [] mean that every value above 0 is one structure.
        where: what the list is and where it stands, for the message.

    Raises:
        ValueError: no list of different names, a name that a configuration would not give back, one for the
            background, or too many.
    """
    if names is None or names == []:
        return []
    good = isinstance(names, list | tuple) and all(isinstance(name, str) and name and is_plain(name) for name in names)
    if not good or len(set(names)) < len(names):
        raise ValueError(
            f"{where} must be a list of different names, the first of which is that of the value 1 of the "
            f"masks, found {names!r:.200}; correct it"
        )
    if names[0].lower() == "background":
        raise ValueError(
            f"{where} must begin with the name of the value 1 of the masks, found {names[0]!r}, which is 0; take it out"
        )
    if len(names) > MOST_STRUCTURES:
        raise ValueError(f"{where} must be at most {MOST_STRUCTURES} names, found {len(names)}; merge structures")
    check_safe_names(names, where)
    return list(names)


def masks_of(roi: T | Mapping[str, T] | None) -> dict[str, T]:
    """Return the masks of a case: {phase: mask}, or {"roi": mask} where one serves all phases.

    >>> masks_of("a.nii"), masks_of({"ed": "b.nii"}), masks_of(None)
    ({'roi': 'a.nii'}, {'ed': 'b.nii'}, {})
    """
    if isinstance(roi, Mapping):
        return {phase: mask for phase, mask in roi.items() if mask is not None}
    return {} if roi is None else {ROI: roi}


def each_mask(roi: T | Mapping[str, T] | None, change: Callable[[T], S]) -> S | dict[str, S] | None:
    """Return `roi` with each of its masks changed.

    >>> each_mask("a.nii", str.upper), each_mask({"ed": "b.nii"}, str.upper), each_mask(None, str.upper)
    ('A.NII', {'ed': 'B.NII'}, None)
    """
    if isinstance(roi, Mapping):
        return {phase: change(mask) for phase, mask in roi.items()}
    return None if roi is None else change(roi)


def region_mask(masks: Mapping[str, T], reference: str, phases: Sequence[str], present: Iterable[str]) -> T | None:
    """Return the mask from which the region of a case is taken.

    Of masks per phase it is that of the reference phase, else the first of a phase that is there, else, where
    only phases that are not there have one, the first of all, as a mask of the case serves every phase.

    Args:
        masks: of `masks_of`.
        reference: the phase that defines the grid.
        phases: all phases, in order.
        present: those that the case has.

    >>> masks = {"pre": "a.nii", "late": "b.nii"}
    >>> [region_mask(masks, phase, ["pre", "portal", "late"], ["portal", "late"]) for phase in ("pre", "portal")]
    ['b.nii', 'b.nii']
    """
    there = [phase for phase in phases if phase in set(present)]
    order = [ROI, *([reference] if reference in there else []), *there, *phases, *masks]
    return next((masks[phase] for phase in order if phase in masks), None)


def mask_name(phase: str) -> str:
    """Return what messages call a mask of `masks_of`.

    >>> mask_name("roi"), mask_name("ed")
    ('roi', "roi of phase 'ed'")
    """
    return ROI if phase == ROI else f"roi of phase {phase!r}"


def open_mask(path: str, case: str, phase: str = ROI) -> Volume:
    """Open a mask of `masks_of` under the name that its messages give it."""
    return open_volume(path, f"case {case}: {mask_name(phase)}")


def drawn_values(mask: Volume, structures: Sequence[str]) -> list[int]:
    """Return which values a mask holds, sorted, without the background; none where it is empty.

    Args:
        structures: names of the values 1, 2, ...; without any every value above 0 is the value 1.

    Raises:
        BadVolume: a value that `structures` does not name; tells case, file and values.
    """
    found = np.empty(0)
    for block in mask.blocks():
        if structures:
            found = distinct(block, len(structures) + 1, found)
            check_values(found, structures, mask)
        else:
            found = np.union1d(found, [float((block > 0).any())])
    return [int(value) for value in found if value > 0]


def drawn_structures(
    cases: Sequence[Mapping[str, Any]], structures: Sequence[str], workers: int | None = None
) -> dict[str, set[int]]:
    """Read all masks of the cases that have one; return case -> values drawn, of all its masks together.

    Args:
        cases: entries of dataset.json with absolute paths, or items.
        structures: as for `drawn_values`.

    Raises:
        BadCases: masks that cannot be read, or hold a value that `structures` does not name; all of them.
    """
    masked = [case for case in cases if masks_of(case.get("roi"))]
    found = work_through(partial(_drawn, structures), masked, workers, bar="reading masks", what="masks")
    return {str(case["case"]): values for case, values in zip(masked, found, strict=True)}


def _drawn(structures: Sequence[str], case: Mapping[str, Any]) -> set[int]:
    masks = masks_of(case["roi"]).items()
    return {value for phase, path in masks for value in drawn_values(open_mask(path, case["case"], phase), structures)}


def absent_structures(drawn: Iterable[set[int]], structures: Sequence[str]) -> list[str]:
    """Return the structures that no mask holds, by name and value; without names, what all masks lack.

    >>> absent_structures([{1}, {1, 3}], ["wall", "cavity", "scar"]), absent_structures([set()], [])
    (["'cavity' (value 2)"], ["'roi' (values above 0)"])
    """
    found = set().union(*drawn)
    if not structures:
        return [] if found else [f"{ROI!r} (values above 0)"]
    return [f"{name!r} (value {value})" for value, name in enumerate(structures, start=1) if value not in found]


def check_drawn(drawn: Mapping[str, set[int]], structures: Sequence[str]) -> None:
    """Refuse a structure that none of the training cases shows; `drawn` is theirs, of `drawn_structures`."""
    absent = absent_structures(drawn.values(), structures)
    if absent:
        raise ValueError(
            f"structure {absent[0]} must be in the mask of at least one training case, found it in none of "
            f"{len(drawn)} cases with a mask; take it out of `structures`, or put a case that shows it into training"
        )


def check_values(voxels: np.ndarray, structures: Sequence[str], mask: Volume) -> None:
    """Refuse voxels of a mask that `structures` does not name; see `drawn_values`."""
    wrong = np.unique(voxels[(voxels < 0) | (voxels > len(structures)) | (voxels != np.round(voxels))])
    if wrong.size:
        rule = f"must hold 0 and the values 1 to {len(structures)} of `structures` ({', '.join(structures)})"
        found = f"{', '.join(f'{value:g}' for value in wrong[:5])}{', ...' if wrong.size > 5 else ''}"
        remedy = "name every value in `structures`, that of 1 first, or correct the mask"
        raise bad_volume(mask.path, mask.name, rule, found, remedy)


def nothing_drawn(case: str, file: str | Path) -> str:
    """Return what is said of a mask that holds nothing."""
    return (
        f"{case}: a mask must outline something, found nothing but 0 in {file}; correct the mask, remove the case, or "
        "pass --empty_masks true where nothing is there to outline"
    )


def drawn_labels(mask: Volume, structures: Sequence[str]) -> np.ndarray:
    """Read a mask as uint8 [X, Y, Z]: 0, and the values 1 to S of `structures`; without any, 1 is all above 0.

    Raises:
        BadVolume: a value that `structures` does not name; tells case, file and values.
    """
    voxels = mask.read()
    if not structures:
        return (voxels > 0).astype(np.uint8)
    check_values(voxels, structures, mask)
    return voxels.astype(np.uint8)
