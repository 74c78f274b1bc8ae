"""One folder per case, one file per phase: which file is which."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.cases.file_names import is_mask, mask_rank, phase_of
from scripts.files.plain_text import check_names_are_text, nearest
from scripts.volumes.open import IMAGE_ENDINGS, image_ending, image_files


@dataclass(frozen=True)
class CaseFolder:
    """The files of one case."""

    case: str
    images: dict[str, Path]
    roi: Path | None
    others: dict[str, Path]  # image files that are neither, by name
    # further files that are masks, which are not used, by name
    masks: dict[str, Path] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)  # names of files of no known kind, and of folders


def read_case_folder(
    folder: Path, phases: Sequence[str] | None = None, phase_names: Mapping[str, Sequence[str]] | None = None
) -> CaseFolder:
    """Sort the image files of `folder` into phases, region mask and others.

    A file stands for the phase it is named after: `portal.nii.gz`, or `p017_portal.nii.gz` in folder `p017`.
    Letter case counts only where no phases are given. A mask is told by its name (lesion, roi, mask or seg),
    or by another usual one (`WORDS`) and its voxels; of several the first in that order is taken.

    Args:
        folder: the folder of one case; it is not searched deeper.
        phases: the phases to look for; None takes every image file but the region mask as one.
        phase_names: phase -> patterns of the names that stand for it; files that fit none are no phase.

    Raises:
        ValueError: two files for one phase; a file whose name is nearly that of a phase that is missing.
    """
    files, no_images = image_files(folder)
    volumes = [path for path in files if image_ending(path) in IMAGE_ENDINGS]
    unread = no_images + (
        [path for path in files if path not in volumes] if volumes and phases is None else []
    )
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

    chosen = min(regions, key=lambda stem: (regions[stem], stem), default=None)
    masks = {stem: by_stem[stem] for stem in regions if stem != chosen}
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
    roi, names = by_stem.get(chosen or ""), [path.name for path in unread] + below
    return CaseFolder(composed(folder.name), images, roi, others, masks, names)


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
