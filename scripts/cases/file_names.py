"""What the name of a file says: a mask of the region of interest, confirmed by its voxels, or a phase."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.files.plain_text import check_safe_names, nearest, safe_name
from scripts.volumes.mask import mask_values
from scripts.volumes.open import open_volume

REGION_NAMES = ("lesion", "roi", "mask", "seg")
"""File names (without ending) that are a mask without a look at the voxels; the first there is counts."""
WORDS = (
    "lesions", "tumor", "tumour", "tumors", "tumours", "nodule", "gtv", "lasion", "laesion", "lesao",
    "lesione", "segmentation", "segmentations", "segm", "segs", "segmentierung", "segmentacion",
    "segmentacao", "segmentazione", "segmentatie", "masks", "maske", "masque", "mascara", "maschera",
    "masker", "rois", "voi", "label", "labels", "labelmap", "gt", "groundtruth", "annotation", "annotations",
    "contour", "delineation", "dseg",
)  # fmt: skip
"""Other words for one, in order of preference, without accents."""
SIGNS = (
    *("病灶", "病变", "肿瘤", "分割", "掩膜", "掩码", "标注", "病変", "腫瘍", "セグメンテーション", "マスク"),
    *("병변", "종양", "маска", "сегмент", "опухоль"),
)
"""The same in scripts that do not part words by blanks, or that are not Latin."""
MASK_NAMES = (*REGION_NAMES, *WORDS)
SLIP = 0.7  # similarity, from 0 to 1, from which a name may be a misspelt word


def mask_rank(stem: str) -> int | None:
    """Return how surely a file of this name is a mask, 0 most; None where nothing in the name says so.

    >>> [mask_rank(stem) for stem in ("lesion", "p007_Seg", "tumorMask-2", "t1")]
    [0, 103, 102, None]
    """
    if stem.lower() in MASK_NAMES:
        return MASK_NAMES.index(stem.lower())
    plain = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign)).lower()
    words = [re.sub(r"\d+$", "", word) for word in re.split(r"[^a-z0-9]+", plain)]
    words = [word for word in words if word]
    found = [100 + MASK_NAMES.index(word) for word in words if word in MASK_NAMES]
    if any(sign in unicodedata.normalize("NFC", stem).lower() for sign in SIGNS):
        found.append(100)
    return min(found, default=None)


def is_mask(stem: str, path: Path) -> bool:
    """Return whether a file is a mask: by one of `REGION_NAMES`, or by another name and its voxels."""
    rank = mask_rank(stem)
    return rank is not None and (rank < len(REGION_NAMES) or looks_like_mask(path))


def may_be_mask(stem: str, path: Path) -> bool:
    """Return whether a file not known as a mask may be one: by its voxels, or by a name with a slip."""
    named = mask_rank(stem) is not None or nearest(stem.lower(), MASK_NAMES, cutoff=SLIP) is not None
    return looks_like_mask(path) or (named and values_of_file(path) is None)


def looks_like_mask(path: Path) -> bool:
    """Return whether the voxels of a file are few whole numbers."""
    return bool(values_of_file(path))


def values_of_file(path: Path) -> tuple[int, ...] | None:
    """Return the values of a mask file; empty where they are none of a mask, None where it cannot be read."""
    try:
        state = path.stat()
        return _values(str(path), state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=10_000)
def _values(path: str, changed: int, size: int) -> tuple[int, ...]:
    return tuple(mask_values(open_volume(path).blocks()) or ())


def check_names(names: Any) -> dict[str, list[str]] | None:
    """Return `phase_names` as phase -> patterns, a single pattern as a list of one."""
    if names is None:
        return None
    good = isinstance(names, Mapping) and names
    checked = {
        str(phase): [value] if isinstance(value, str) else value
        for phase, value in (names.items() if good else ())
    }
    if not good or not all(
        isinstance(value, list | tuple)
        and value
        and all(isinstance(pattern, str) and pattern for pattern in value)
        for value in checked.values()
    ):
        raise ValueError(
            f"phase_names must be patterns per phase, e.g. {{arterial: ['*art*', ap]}}, found {names!r}"
        )
    return {phase: list(value) for phase, value in checked.items()}


def check_found_phases(phases: Sequence[str], names: Mapping[str, Sequence[str]] | None) -> None:
    """Refuse names of phases that a configuration would not give back, with what to write instead.

    Args:
        names: phase -> patterns by which they were found, empty where names were taken as they are; None
            where the layout takes no `phase_names`.
    """
    instead = "rename them where they come from"
    if names is not None:
        safe = {safe_name(phase): list(names.get(phase, [re.sub("^%", "?", phase)])) for phase in phases}
        argument = shlex.quote(json.dumps(safe, ensure_ascii=False))
        instead = f"rename them, or give --phase_names {argument}" if len(safe) == len(phases) else instead
    check_safe_names(phases, "names of phases", instead)


def phase_of(name: str, names: Mapping[str, Sequence[str]], where: str) -> str | None:
    """Return the phase whose name or pattern fits `name`; an exact fit goes before patterns with * or ?.

    Args:
        name: of a file without its ending, or of a folder; letter case is ignored.

    Returns:
        The phase, or None where nothing fits.

    Raises:
        ValueError: two phases fit.

    >>> names = {"arterial": ["*art*", "ap"], "portal": ["*p"]}
    >>> tuple(phase_of(stem, names, "case a") for stem in ("late_ART", "AP", "t2"))
    ('arterial', 'arterial', None)
    """
    lower = name.lower()
    exact = [phase for phase in names if lower in {phase.lower(), *(text.lower() for text in names[phase])}]
    fitting = exact or [
        phase for phase in names if any(fnmatchcase(lower, pattern.lower()) for pattern in names[phase])
    ]
    if len(fitting) > 1:
        raise ValueError(
            f"{where}: {name!r} must fit one phase, found [{', '.join(fitting)}]; narrow the patterns in "
            "phase_names"
        )
    return fitting[0] if fitting else None
