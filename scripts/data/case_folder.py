"""One folder per case, one file per phase: which file is which."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.data.nearest import nearest
from scripts.data.phase_names import phase_of
from scripts.data.plain_text import check_names_are_text
from scripts.data.volumes import image_ending

IMAGE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
REGION_NAMES = ("lesion", "roi", "mask", "seg")
"""File names (without ending) of a region-of-interest mask; the first that exists is taken."""


@dataclass(frozen=True)
class CaseFolder:
    """The files of one case.

    Attributes:
        case: name of the folder.
        images: phase -> file.
        roi: mask of the region of interest, or None.
        others: image files that are neither, by name.
    """

    case: str
    images: dict[str, Path]
    roi: Path | None
    others: dict[str, Path]


def read_case_folder(
    folder: Path,
    phases: Sequence[str] | None = None,
    phase_names: Mapping[str, Sequence[str]] | None = None,
) -> CaseFolder:
    """Sort the image files of `folder` into phases, region mask and others.

    A file stands for the phase it is named after: `portal.nii.gz`, or `p017_portal.nii.gz` in the folder
        `p017`.
    Letter case counts only where no phases are given.

    Args:
        folder: the folder of one case; it is not searched deeper.
        phases: the phases to look for; None takes every image file but the region mask as one.
        phase_names: phase -> patterns of the names that stand for it; files that fit none are no phase.

    Raises:
        ValueError: two files for one phase; a file whose name is nearly that of a phase that is missing.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    by_stem: dict[str, Path] = {}
    phases = list(phase_names) if phase_names and phases is None else phases
    wanted = {phase.lower(): phase for phase in phases or ()}
    for path in files:
        ending = image_ending(path)
        if ending is None:
            continue
        stem = composed(path.name[: -len(ending)])
        if stem.lower() not in wanted:
            stem = stem.removeprefix(f"{composed(folder.name)}_")
        if phase_names and (stem.lower() not in REGION_NAMES or stem.lower() in wanted):
            stem = phase_of(stem, phase_names, f"case {folder.name}: {path.name}") or stem
        stem = wanted.get(stem.lower(), stem)
        if stem in by_stem:
            raise ValueError(
                f"case {folder.name}: phase {stem!r} must be one file, found {by_stem[stem].name} and "
                f"{path.name} in {folder}; remove one"
            )
        by_stem[stem] = path

    regions = {
        stem.lower(): stem for stem in by_stem if stem.lower() in REGION_NAMES and stem not in wanted.values()
    }
    region = next((regions[name] for name in REGION_NAMES if name in regions), None)
    rest = {stem: path for stem, path in by_stem.items() if stem not in regions.values()}
    images = {phase: rest[phase] for phase in phases if phase in rest} if phases is not None else rest
    others = {stem: path for stem, path in rest.items() if stem not in images}
    for stem, path in others.items():
        close = nearest(stem, [phase for phase in phases or () if phase not in images], cutoff=0.8)
        if close:
            raise ValueError(
                f"case {folder.name}: {path} belongs to no phase, and phase {close!r} is missing; rename the "
                f"file if it is that phase, else move it away"
            )
    return CaseFolder(composed(folder.name), images, by_stem[region] if region else None, others)


def composed(name: str) -> str:
    """Return a name with its accents as tables and other systems store them: macOS writes them apart."""
    return unicodedata.normalize("NFC", name)


def case_folders(root: Path) -> list[Path]:
    """Return the sub-folders of `root`, sorted by name, without hidden ones.

    Raises:
        ValueError: a folder whose name is no text in UTF-8, as other systems write it; names each.
    """
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    check_names_are_text([path.name for path in folders], f"folders of {root}")
    return folders
