# SPDX-License-Identifier: Apache-2.0
"""One folder per case, one file per phase or mask, told apart by their names and, for masks, by voxels."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts.cases.masks import ROI
from scripts.files.plain_text import check_names_are_text, check_safe_names, nearest, safe_name
from scripts.volumes.mask import mask_values
from scripts.volumes.open import IMAGE_ENDINGS, image_ending, image_files, open_volume

REGION_NAMES = ("lesion", "roi", "mask", "seg")
"""File names (without ending) that make a file a mask whatever its voxels; the first one present is used."""
WORDS = (
    "lesions", "tumor", "tumour", "tumors", "tumours", "nodule", "gtv", "lasion", "laesion", "lesao",
    "lesione", "segmentation", "segmentations", "segm", "segs", "segmentierung", "segmentacion",
    "segmentacao", "segmentazione", "segmentatie", "masks", "maske", "masque", "mascara", "maschera",
    "masker", "rois", "voi", "label", "labels", "labelmap", "gt", "groundtruth", "annotation", "annotations",
    "contour", "delineation", "dseg",
)  # fmt: skip
"""Other words for a mask, without accents, in order of preference."""
SIGNS = (
    *("病灶", "病变", "肿瘤", "分割", "掩膜", "掩码", "标注", "病変", "腫瘍", "セグメンテーション", "マスク"),
    *("병변", "종양", "маска", "сегмент", "опухоль"),
)
"""The same in scripts that are not Latin or do not separate words."""
MASK_NAMES = (*REGION_NAMES, *WORDS)
SLIP = 0.7  # similarity (0 to 1) from which a name may be a misspelt word


def mask_rank(stem: str) -> int | None:
    """Return how surely a name denotes a mask: 0 is surest, None means not at all.

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
    """Return whether a file is a mask: by a name in `REGION_NAMES`, or by another mask name and its voxels."""
    rank = mask_rank(stem)
    return rank is not None and (rank < len(REGION_NAMES) or looks_like_mask(path))


def may_be_mask(stem: str, path: Path) -> bool:
    """Return whether a file not recognised as a mask may still be one, by its voxels or a (misspelt) name."""
    named = mask_rank(stem) is not None or nearest(stem.lower(), MASK_NAMES, cutoff=SLIP) is not None
    return looks_like_mask(path) or (named and values_of_file(path) is None)


def looks_like_mask(path: Path) -> bool:
    """Return whether the voxels of a file take only a few whole numbers."""
    return bool(values_of_file(path))


def values_of_file(path: Path) -> tuple[int, ...] | None:
    """Return the values of a mask file; empty if it is not a mask, None if it cannot be read."""
    try:
        state = path.stat()
        return _values(str(path), state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=10_000)
def _values(path: str, changed: int, size: int) -> tuple[int, ...]:
    return tuple(mask_values(open_volume(path).blocks()) or ())


def check_names(names: Any) -> dict[str, list[str]] | None:
    """Return `phase_names` as phase -> list of patterns; a single pattern becomes a list."""
    if names is None:
        return None
    good = isinstance(names, Mapping) and names
    checked = {
        str(phase): [value] if isinstance(value, str) else value for phase, value in (names.items() if good else ())
    }
    if not good or not all(
        isinstance(value, list | tuple) and value and all(isinstance(pattern, str) and pattern for pattern in value)
        for value in checked.values()
    ):
        raise ValueError(f"phase_names must be patterns per phase, e.g. {{arterial: ['*art*', ap]}}, found {names!r}")
    return {phase: list(value) for phase, value in checked.items()}


def check_found_phases(phases: Sequence[str], names: Mapping[str, Sequence[str]] | None) -> None:
    """Refuse phase names that a configuration would not return unchanged, and say what to write instead.

    Args:
        names: phase -> patterns by which the files were found, empty if file names were used unchanged; None
            if the layout takes no `phase_names`.
    """
    instead = "rename them where they come from"
    if names is not None:
        safe = {safe_name(phase): list(names.get(phase, [re.sub("^%", "?", phase)])) for phase in phases}
        argument = shlex.quote(json.dumps(safe, ensure_ascii=False))
        instead = f"rename them, or give --phase_names {argument}" if len(safe) == len(phases) else instead
    check_safe_names(phases, "names of phases", instead)


def phase_of(name: str, names: Mapping[str, Sequence[str]], where: str) -> str | None:
    """Return the phase whose name or pattern matches `name`; an exact match precedes patterns with * or ?.

    Args:
        name: of a folder, or of a file without its ending; letter case is ignored.

    Returns:
        The phase, or None if nothing matches.

    Raises:
        ValueError: several phases match.

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
            f"{where}: {name!r} must fit one phase, found [{', '.join(fitting)}]; narrow the patterns in phase_names"
        )
    return fitting[0] if fitting else None


@dataclass(frozen=True)
class CaseFolder:
    """The files of one case."""

    case: str
    images: dict[str, Path]
    roi: Path | dict[str, Path] | None  # its mask, those of its phases by name, or none
    others: dict[str, Path]  # image files that are neither, by name
    # further files that are masks, which are not used, by name
    masks: dict[str, Path] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)  # names of unknown files and of folders


def read_case_folder(
    folder: Path, phases: Sequence[str] | None = None, phase_names: Mapping[str, Sequence[str]] | None = None
) -> CaseFolder:
    """Sort the image files of `folder` into phases, region mask and others.

    A file stands for the phase it is named after: `portal.nii.gz`, or `p017_portal.nii.gz` in folder `p017`.
    Letter case counts only where no phases are given. A mask is told by its name (lesion, roi, mask or seg),
    or by another usual one (`WORDS`) and its voxels; of several the first in that order is taken. Where no
    mask is called by such a word alone, those that add a phase to it, `lesion_portal` or `portal_lesion`,
    are the masks of these phases.

    Args:
        folder: the folder of one case; its sub-folders are not searched.
        phases: the phases to look for; None makes every image file except the region mask a phase.
        phase_names: phase -> patterns of the file names that stand for it; other files are not phases.

    Raises:
        ValueError: two files for one phase, or a file whose name nearly is that of a missing phase.
    """
    files, no_images = image_files(folder)
    volumes = [path for path in files if image_ending(path) in IMAGE_ENDINGS]
    unread = no_images + ([path for path in files if path not in volumes] if volumes and phases is None else [])
    below = [path.name + "/" for path in sorted(folder.iterdir()) if path.is_dir() and path.name[:1] != "."]
    by_stem: dict[str, Path] = {}
    regions: dict[str, int] = {}
    phases = list(phase_names) if phase_names and phases is None else phases
    wanted = {phase.lower(): phase for phase in phases or ()}
    for path in files:
        if path in unread:
            continue
        stem = composed(path.name[: -len(image_ending(path) or "")])
        if stem.lower() not in wanted:
            stem = stem.removeprefix(f"{composed(folder.name)}_")
        region = stem.lower() not in wanted and is_mask(stem, path)
        if phase_names and not region:
            stem = phase_of(stem, phase_names, f"case {folder.name}: {path.name}") or stem
        stem = wanted.get(stem.lower(), stem)
        if stem in by_stem:
            raise ValueError(
                f"case {folder.name}: phase {stem!r} must be one file, found {by_stem[stem].name} and "
                f"{path.name} in {folder}; remove one"
            )
        by_stem[stem] = path
        if region:
            regions[stem] = mask_rank(stem) or 0

    rest = {stem: path for stem, path in by_stem.items() if stem not in regions}
    images = {phase: rest[phase] for phase in phases if phase in rest} if phases is not None else rest
    others = {stem: path for stem, path in rest.items() if stem not in images}
    for stem, path in others.items():
        close = nearest(stem, [phase for phase in phases or () if phase not in images], cutoff=0.8)
        if close:
            raise ValueError(
                f"case {folder.name}: {path} belongs to no phase, and phase {close!r} is missing; rename the "
                f"file if it is that phase, else move it away"
            )
    ranked = sorted(regions, key=lambda stem: (regions[stem], stem))
    taken = {ROI: ranked[0]} if ranked else {}
    if ranked and regions[ranked[0]] >= len(MASK_NAMES):
        taken = _phases_of_masks(ranked, list(images), phase_names or {}, folder) or taken
    masks = {stem: by_stem[stem] for stem in regions if stem not in taken.values()}
    files_of = {phase: by_stem[stem] for phase, stem in taken.items()}
    roi = files_of.get(ROI) if list(files_of) == [ROI] else files_of or None
    names = [path.name for path in unread] + below
    return CaseFolder(composed(folder.name), images, roi, others, masks, names)


def _phases_of_masks(
    stems: Sequence[str], images: Sequence[str], phase_names: Mapping[str, Sequence[str]], folder: Path
) -> dict[str, str]:
    """Return phase -> name of its mask, in the order of the phases; the first of several names counts."""
    found: dict[str, str] = {}
    by_name = {phase.lower(): phase for phase in images}
    for stem in stems:
        for rest in _without_mask_word(stem.lower()):
            phase = by_name.get(rest)
            if phase is None and phase_names:
                phase = phase_of(rest, phase_names, f"case {folder.name}: {stem}")
            if phase in images:
                found.setdefault(str(phase), stem)
                break
    return {phase: found[phase] for phase in images if phase in found}


def _without_mask_word(name: str) -> list[str]:
    """Return what is left of the name of a mask without the word for one at either end.

    >>> _without_mask_word("lesion_portal"), _without_mask_word("c+a-seg"), _without_mask_word("lesion")
    (['portal'], ['c+a'], [])
    """
    first, _, behind = re.sub(r"[\s.-]", "_", name).partition("_")
    before, _, last = re.sub(r"[\s.-]", "_", name).rpartition("_")
    rests = []
    if behind and first in MASK_NAMES:
        rests.append(name[-len(behind) :])
    if before and last in MASK_NAMES:
        rests.append(name[: len(before)])
    return rests


def composed(name: str) -> str:
    """Return a name with composed accents (NFC), as tables and most systems store them; macOS decomposes them."""
    return unicodedata.normalize("NFC", name)


def case_folders(root: Path) -> list[Path]:
    """Return the sub-folders of `root`, sorted by name, except hidden ones.

    Raises:
        ValueError: folder names that are not UTF-8 text; the message lists them.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    check_names_are_text([path.name for path in folders], f"folders of {root}")
    return folders
