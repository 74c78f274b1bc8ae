# SPDX-License-Identifier: Apache-2.0
"""Cases without a mask of the region among others that have one: the user decides what to do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scripts.cases.folder import may_be_mask
from scripts.cases.masks import masks_of, open_mask
from scripts.cases.splits import Case
from scripts.files.plain_text import listing, note
from scripts.files.processes import work_through
from scripts.volumes.grid import find_mask_box, open_phase, ras_bounds
from scripts.volumes.open import image_ending, image_files

CHOICES = ("leave_out", "whole_volume", "box")
MOST_NAMED = 20  # cases named one by one in an error


def settle_masks(
    cases: Sequence[Case], reference_phase: str, choice: str | None = None, workers: int | None = None
) -> tuple[list[Case], list[str]]:
    """Return the cases with the regions that training will use, and notes; refuse if only some have a mask.

    A case has a mask if a voxel of its mask file is above 0. A box serves as well.

    Args:
        reference_phase: the phase in the middle of which a box is placed.
        choice: for cases without a mask: leave_out; whole_volume, then for all cases; box, of the median size
        of the masks, in the middle of the reference phase; None refuses.

    Raises:
        ValueError: an unknown choice; cases without a mask among others that have one, and no choice: names
            them, the files that are probably their masks, and the options. No mask to take a size from, or no
            case left. A mask that cannot be read.
    """
    if choice is not None and choice not in CHOICES:
        known = listing(str(choice), CHOICES)
        raise ValueError(f"without_mask must be one of {known}, or null, found {choice!r}; correct --without_mask")
    if not any(case.get("roi") for case in cases) and choice in (None, "whole_volume"):
        return list(cases), []
    sizes = mask_sizes(cases, workers)
    having = {name for name, size in sizes.items() if size is not None}
    boxed = {case["case"] for case in cases if case.get("box")}
    lacking = [case for case in cases if case["case"] not in having | boxed]
    empty = [case["case"] for case in lacking if case.get("roi")]
    if not lacking:
        return list(cases), []
    if not having and choice != "whole_volume" and (choice != "leave_out" or len(lacking) == len(cases)):
        those = note("cases without", [case["case"] for case in lacking])
        raise ValueError(
            f"at least one case must have a mask of the region with a voxel above 0, found none ({those}); "
            "correct the masks or their names, or pass --without_mask whole_volume"
        )
    if choice is None:
        raise ValueError(_refusal(cases, lacking, empty))
    names = [case["case"] for case in lacking]
    if choice == "leave_out":
        kept = [case for case in cases if case["case"] not in names]
        return kept, [note("cases without a mask, left out", names, most=MOST_NAMED)]
    plain = [
        {key: value for key, value in case.items() if key != "roi"} if case["case"] in empty else case for case in cases
    ]
    if choice == "whole_volume":
        what = f"whole volumes are the region of all {len(cases)} cases, as these have no mask"
        return plain, [note(what, names, most=MOST_NAMED)]
    size = np.median([found for found in sizes.values() if found is not None], axis=0)
    boxes = [case | {"box": _box(case, reference_phase, size)} if case["case"] in names else case for case in plain]
    millimetres = " x ".join(f"{side:.0f}" for side in size)
    what = f"cases without a mask, whose region is a box of {millimetres} mm in the middle of the volume"
    return boxes, [note(what, names, most=MOST_NAMED)]


def mask_sizes(cases: Sequence[Case], workers: int | None = None) -> dict[str, np.ndarray | None]:
    """Return case -> size of its mask along R, A, S in mm; None for an empty mask, no entry for no mask.

    Of masks per phase it is the first that is not empty.
    """
    masked = [case for case in cases if case.get("roi")]
    found = work_through(_size, masked, workers, what="masks")
    return {case["case"]: size for case, size in zip(masked, found, strict=True)}


def _size(case: Case) -> np.ndarray | None:
    for phase, file in masks_of(case["roi"]).items():
        mask = open_mask(file, case["case"], phase)
        box = find_mask_box(mask)
        if box is not None:
            low, high = ras_bounds(mask, box.low, box.high)
            return high - low
    return None


def _refusal(cases: Sequence[Case], lacking: Sequence[Case], empty: Sequence[str]) -> str:
    """Say how many cases have a mask, which do not, which files may be theirs, and what can be done."""
    used: dict[Path, int] = {}
    for case in cases:
        for folder in {Path(file).parent for file in case["image"].values()}:
            used[folder] = used.get(folder, 0) + 1
    named = []
    for case in lacking[:MOST_NAMED]:
        found = ", ".join(path.name for path in probable_masks(case, cases, used))
        more = "its mask is empty" if case["case"] in empty else f"probably {found}" if found else ""
        named.append(case["case"] + (f" ({more})" if more else ""))
    rest = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    has = "has" if len(lacking) == 1 else "have"
    return (
        f"{len(cases) - len(lacking)} of {len(cases)} cases have a mask of the region, "
        f"{', '.join(named)}{rest} {has} none; give these files the name of the other masks, or pass "
        "--without_mask leave_out (goes on without these cases), --without_mask box (a box of the usual size "
        "of the masks in the middle of their volume) or --without_mask whole_volume (uses no mask for any "
        "case)"
    )


def probable_masks(case: Case, cases: Sequence[Case], used: Mapping[Path, int]) -> list[Path]:
    """Return the files of a case that may be its mask under another name.

    These are files next to its images that are no phase, in a folder of its own or named after it; and phases
    that most cases lack.
    """
    images = {Path(file): phase for phase, file in case["image"].items()}
    found = []
    for folder in sorted({path.parent for path in images}):
        for path in image_files(folder)[0]:
            if path not in images and used[folder] > 1 and not path.name.startswith(case["case"]):
                continue
            phase = images.get(path)
            if phase is not None and 2 * sum(phase in other["image"] for other in cases) > len(cases):
                continue
            if may_be_mask(path.name[: -len(image_ending(path) or "")], path):
                found.append(path)
    return found


def _box(case: Case, reference_phase: str, size: np.ndarray) -> list[list[float]]:
    image = case["image"]
    phase = reference_phase if reference_phase in image else next(iter(image))
    volume = open_phase(image[phase], case["case"], phase)
    middle = np.mean(ras_bounds(volume, np.zeros(3), np.subtract(volume.shape, 1)), axis=0)
    return [[round(float(value), 3) for value in corner] for corner in (middle - size / 2, middle + size / 2)]
