# SPDX-License-Identifier: Apache-2.0
"""From one path per case, which is all an annotation server knows, to the files of its phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.cases.folder import MASK_NAMES, read_case_folder
from scripts.cases.masks import each_mask
from scripts.transforms.phases import PhaseTransform
from scripts.transforms.region import asked
from scripts.volumes.open import IMAGE_ENDINGS, frames_of, image_ending, open_volume
from scripts.volumes.volume import Frame

Roi = str | dict[str, str] | None


class FindPhasesd(PhaseTransform):
    """Finds the phases and the region mask of a case from a single path; a mapping {phase: path} is kept.

    The path is one of

    - a folder with one file per phase, ``p001/portal.nii.gz``, and possibly a mask, ``p001/lesion.nii.gz``;
    - one of several files side by side, ``p001_portal.nii.gz``; the other phases and the mask
      (``p001_lesion.nii.gz``) are found by the part before the phase name;
    - a 4D NIfTI file, ``p001.nii.gz``, with the phases in order along its fourth axis; a constant phase is
      absent. Its mask is ``p001_lesion.nii.gz``.

    The mask may also be named roi, mask or seg, or by another of `MASK_NAMES`, and each phase may have one of
    its own, ``p001/lesion_portal.nii.gz`` or ``p001_portal_lesion.nii.gz``. A mask that the item already has,
    which a person saved as its label, goes before it; where the item has a `box` or a `point`, neither is used:
    what is asked for counts more than what lies there.

    Args:
        keys: key of the path.
        phases: names of all phases, in order.

    Raises:
        FileNotFoundError: the path does not exist.
        ValueError: no phase can be recognised, or the 4D file has a different number of phases.
    """

    def __init__(self, keys: str = "image", phases: Sequence[str] = ()) -> None:
        super().__init__(keys)
        self.phases = list(phases)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        if isinstance(item[self.key], Mapping):
            return item
        if not str(item[self.key]):  # what a server passes for an unknown case name
            raise FileNotFoundError("the case must be one of those listed, found no file of that name")
        path = Path(str(item[self.key]))
        if not path.exists():
            raise FileNotFoundError(f"case {path.name}: {path} must exist, found nothing; correct the path")
        case, images, roi = self._folder(path) if path.is_dir() else self._file(path)
        item[self.key] = images
        item["case"] = item["patient"] = case
        item["roi"] = None if asked(item, "box") or asked(item, "point") else item.get("roi") or roi
        return item

    def _folder(self, path: Path) -> tuple[str, Mapping[str, str | Frame], Roi]:
        files = read_case_folder(path, self.phases)
        if not files.images:
            raise ValueError(
                f"case {path.name}: {path} must hold one file per phase named after it "
                f"({self.phases[0]}.nii.gz), found {', '.join(files.others) or 'no image'}; rename the files"
            )
        images = {phase: str(file) for phase, file in files.images.items()}
        return path.name, images, each_mask(files.roi, str)

    def _file(self, path: Path) -> tuple[str, Mapping[str, str | Frame], Roi]:
        stem = stem_of(path)
        frames = frames_of(path, f"case {stem}")
        if frames:
            return stem, self._frames(path, frames), sibling(path.parent, stem, MASK_NAMES)
        phase = phase_of(stem, self.phases)
        if phase is None:
            raise ValueError(
                f"case {stem}: {path} must be a 4D NIfTI file of {len(self.phases)} phases, or end in the "
                f"name of a phase (<case>_{self.phases[0]}.nii.gz), found a 3D file of another name"
            )
        case = stem[: -len(phase) - 1]
        images = {name: sibling(path.parent, case, [name]) for name in self.phases}
        found = {name: file for name, file in images.items() if file is not None}
        masks = {name: sibling(path.parent, case, [f"{name}_{word}" for word in MASK_NAMES]) for name in found}
        of_phases = {name: mask for name, mask in masks.items() if mask is not None}
        return case, found, sibling(path.parent, case, MASK_NAMES) or of_phases or None

    def _frames(self, path: Path, frames: list[Frame]) -> dict[str, str | Frame]:
        if len(frames) != len(self.phases):
            raise ValueError(
                f"case {stem_of(path)}: the fourth axis of {path} must be the {len(self.phases)} phases "
                f"({', '.join(self.phases)}), found {len(frames)} volumes; export one volume per phase, in "
                "this order, with zeros for a missing one"
            )
        volumes = {phase: frame for phase, frame in zip(self.phases, frames, strict=True) if _varies(frame)}
        if not volumes:
            raise ValueError(f"case {stem_of(path)}: {path} must hold a phase, found constant volumes only")
        return dict(volumes)


def stem_of(path: Path) -> str:
    """Return the name of an image file without its ending.

    >>> stem_of(Path("data/p001_portal.nii.gz"))
    'p001_portal'
    """
    return path.name[: len(path.name) - len(image_ending(path) or path.suffix)]


def phase_of(stem: str, phases: Sequence[str]) -> str | None:
    """Return the phase that a file's stem ends in (the longest of several), or None.

    >>> phase_of("p001_late_portal", ["portal", "late_portal"])
    'late_portal'
    """
    fitting = [phase for phase in phases if stem.lower().endswith(f"_{phase.lower()}")]
    return max(fitting, key=len, default=None)


def sibling(folder: Path, case: str, names: Sequence[str]) -> str | None:
    """Return the first existing file ``<case>_<name>.<ending>`` in the order of `names`, ignoring letter case."""
    files = {file.name.lower(): file for file in sorted(folder.iterdir()) if file.is_file()}
    for name in names:
        for ending in IMAGE_ENDINGS:
            if f"{case}_{name}{ending}".lower() in files:
                return str(files[f"{case}_{name}{ending}".lower()])
    return None


def _varies(frame: Frame) -> bool:
    voxels = open_volume(frame).read()
    return bool(voxels.min() != voxels.max())
