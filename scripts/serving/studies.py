"""Which files of a folder are the cases that an annotation server lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from scripts.data.case_folder import case_folders, read_case_folder
from scripts.data.mask_names import MASK_NAMES
from scripts.data.volumes import image_ending, image_files
from scripts.transforms.find_phases import phase_of, stem_of

LABEL_FOLDER = "labels"
"""Where MONAI Label keeps the labels, in the folder of the studies."""


def study_patterns(folder: Path, phases: Sequence[str], reference: str) -> list[str]:
    """Return the file patterns by which MONAI Label lists each case once.

    - One folder per case: the folders.
    - Files side by side, ``<case>_<phase>.nii.gz``: the file of the reference phase; for a case without it,
      its first phase.
    - One 4D file per case: the files. New ones are seen at once if no mask lies beside them.

    Args:
        folder: the studies.
        phases: names of all phases, in order.
        reference: the reference phase.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no case, or two layouts at once.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"studies {folder} must be a folder, found none; give --studies")
    folders = [
        entry.name
        for entry in case_folders(folder)
        if entry.name != LABEL_FOLDER and read_case_folder(entry, phases).images
    ]
    files, _ = image_files(folder)
    images = [path for path in files if not is_mask(path)]
    side_by_side = {path: phase_of(stem_of(path), phases) for path in images}
    beside = [path for path, phase in side_by_side.items() if phase]
    single = [path for path, phase in side_by_side.items() if not phase]
    found = {"folders": folders, "files per phase": beside, "4D files": single}
    layouts = [name for name, entries in found.items() if entries]
    if len(layouts) != 1:
        what = " and ".join(layouts) or "none"
        raise ValueError(
            f"studies {folder} must hold cases of one layout (a folder per case, files "
            f"<case>_<phase>.nii.gz, or a 4D file per case), found {what}; the phases are {', '.join(phases)}"
        )
    if folders:
        return [exactly(name) for name in folders]
    if beside:
        return listed_by_reference(side_by_side, reference)
    if len(images) == len(files):
        return sorted({f"*{image_ending(path)}" for path in single})
    return [exactly(path.name) for path in single]


def listed_by_reference(phase_of_file: dict[Path, str | None], reference: str) -> list[str]:
    """Return the pattern of the reference phase, and the first files of the cases that lack it."""
    cases: dict[str, dict[str, Path]] = {}
    for path, phase in phase_of_file.items():
        if phase:
            cases.setdefault(stem_of(path)[: -len(phase) - 1], {})[phase] = path
    having = [files[reference] for files in cases.values() if reference in files]
    patterns = sorted({f"*_{reference}{image_ending(path)}" for path in having})
    return patterns + [
        exactly(next(iter(files.values())).name) for files in cases.values() if reference not in files
    ]


def is_mask(path: Path) -> bool:
    """Return whether a file is the mask of a case, by its name."""
    return stem_of(path).lower().rpartition("_")[2] in MASK_NAMES


def exactly(name: str) -> str:
    """Return a pattern that fits this name alone, and that MONAI Label does not take for an ending.

    >>> exactly("p001"), exactly("p[1].nii.gz")
    ('p00[1]', 'p[[]1[]].nii.g[z]')
    """
    escaped = re.sub(r"([\[\]*?])", r"[\1]", name[:-1])
    return f"{escaped}[{name[-1]}]"
