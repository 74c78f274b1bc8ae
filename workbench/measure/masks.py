# SPDX-License-Identifier: Apache-2.0
"""Which masks a case has, in dataset.json or in a folder of outlines, and their voxels as numbers of structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scripts.cases.document import Item
from scripts.cases.masks import ROI, check_values, open_mask
from scripts.cases.structures import named_values
from scripts.files.plain_text import file_name, listing, note
from scripts.volumes.open import IMAGE_ENDINGS, image_ending
from scripts.volumes.volume import bad_volume

OUTLINE = "outline"  # Name of its file where each case has a folder
Masks = Mapping[str, str]
"""Phase, or `ROI` of the one mask of a case, -> file."""


def outlines_of(folder: Path, items: Sequence[Item], phases: Sequence[str]) -> tuple[dict[str, Masks], list[str]]:
    """Find the outlines that a model has written: case -> its masks, and lines about cases without one.

    One outline per case is FOLDER/<case>.nii.gz, as `segmenting` writes it, or FOLDER/<case>/outline.nii.gz; one
    per phase is FOLDER/<case>_<phase>.nii.gz or FOLDER/<case>/<phase>.nii.gz; other formats of volumes likewise.

    Raises:
        FileNotFoundError: no such folder, or it holds no outline of any case.
        ValueError: a case has one outline and others by phase, or two files for one of them.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"folder of outlines {folder} does not exist; correct --outlines")
    files: dict[str, list[Path]] = {}
    for path in sorted([*folder.iterdir(), *folder.glob("*/*")]):
        ending = image_ending(path)
        if ending in IMAGE_ENDINGS and path.is_file():
            inside = "" if path.parent == folder else f"{path.parent.name}/"
            files.setdefault(inside + path.name[: -len(ending or "")], []).append(path)
    found: dict[str, Masks] = {}
    for item in items:
        case = item["case"]
        names = {ROI: (file_name(case), f"{case}/{OUTLINE}")}
        names |= {phase: (file_name(f"{case}_{phase}"), f"{case}/{phase}") for phase in phases}
        fitting = {key: [path for name in known for path in files.get(name, [])] for key, known in names.items()}
        masks = {key: paths for key, paths in fitting.items() if paths}
        several = next((paths for paths in masks.values() if len(paths) > 1), None)
        if several is None and ROI in masks and len(masks) > 1:
            several = [paths[0] for paths in masks.values()]
        if several is not None:
            raise ValueError(
                f"case {case}: there must be one outline, or one of each phase, found "
                f"{' and '.join(str(path.relative_to(folder)) for path in several)} in {folder}; remove the wrong ones"
            )
        if masks:
            found[case] = {key: str(paths[0]) for key, paths in masks.items()}
    if not found:
        raise FileNotFoundError(
            f"{folder} must hold outlines named <case>.nii.gz, <case>_<phase>.nii.gz or <case>/<phase>.nii.gz, found "
            f"none of the cases {listing('', [item['case'] for item in items[:3]])}; correct --outlines"
        )
    missing = note("cases without an outline", [item["case"] for item in items if item["case"] not in found])
    return found, [missing] if missing else []


@dataclass(frozen=True)
class Labels:
    """A mask around its structures: what lies outside of the box is 0."""

    values: np.ndarray  # numbers of structures, uint8 [X, Y, Z]
    affine: np.ndarray  # index in the box -> mm (R, A, S), [4, 4]
    spacing: np.ndarray  # mm, [3]
    path: Path


def read_labels(path: str, case: str, phase: str, structures: Sequence[str]) -> Labels:
    """Read a mask, and cut it to the box around all its structures; an empty one is a single voxel of 0.

    Args:
        phase: or `ROI`, for messages.
        structures: names of the values 1, 2, ...; with `LESION` alone every value above 0 is 1.

    Raises:
        FileNotFoundError: no such file.
        BadVolume: not readable, NaN, sheared axes, a value that is no whole number or has no name.
    """
    volume = open_mask(path, case, phase)
    axes = volume.affine[:3, :3] / volume.spacing
    if not np.allclose(axes.T @ axes, np.eye(3), atol=0.02):
        rule, found = "must have axes at right angles to be measured", f"axes {np.round(axes, 3).tolist()}"
        raise bad_volume(volume.path, volume.name, rule, found, "resample the mask")
    blocks = []
    for block in volume.blocks():
        if named := named_values(structures):
            check_values(block, named, volume)
        else:
            block = block > 0
        blocks.append(block.astype(np.uint8))
    values = np.concatenate(blocks, axis=2)
    affine = volume.affine.copy()
    where = [np.flatnonzero(values.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    low = [int(part[0]) if part.size else 0 for part in where]
    high = [int(part[-1]) + 1 if part.size else 1 for part in where]
    affine[:3, 3] += affine[:3, :3] @ np.array(low)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Labels(values[box].copy(), affine, volume.spacing, volume.path)
