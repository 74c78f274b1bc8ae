# SPDX-License-Identifier: Apache-2.0
"""Opening and stacking the phases of a case, and what its transforms share: one key, messages that name the case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from scripts.cases.masks import ROI, mask_name, masks_of, region_mask
from scripts.files.plain_text import listing
from scripts.files.processes import BadCases
from scripts.volumes.grid import box_distance, field_of_view, frame_axes
from scripts.volumes.open import open_volume
from scripts.volumes.volume import Volume


class PhaseTransform(MapTransform):
    """Base of the transforms that work on ``item[key]``, a mapping from phase names to the phases of a case.

    Args:
        keys: the one key that holds the phases.

    Raises:
        ValueError: more than one key.
    """

    def __init__(self, keys: str = "image") -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"{type(self).__name__} works on one key that holds all phases, found {self.keys}")
        self.key = str(self.keys[0])


def case_name(item: Mapping[Any, Any]) -> str:
    """Return the name of a case in messages.

    >>> case_name({"case": "p017"})
    'case p017'
    """
    return f"case {item.get('case', '?')}"


def phase_name(item: Mapping[Any, Any], phase: str) -> str:
    """Return the name of a phase of a case in messages.

    >>> phase_name({"case": "p017"}, "portal")
    "case p017: phase 'portal'"
    """
    return f"{case_name(item)}: phase {phase!r}"


def mask_title(item: Mapping[Any, Any], phase: str) -> str:
    """Return what messages call a mask of the case.

    >>> mask_title({"case": "p017"}, "roi"), mask_title({"case": "p017"}, "portal")
    ('case p017: roi', "case p017: roi of phase 'portal'")
    """
    return f"{case_name(item)}: {mask_name(phase)}"


def phase_source(item: Mapping[Any, Any], phase: str) -> str:
    """Return the file of a phase as the end of a message; empty if it is unknown."""
    volume = item.get("volumes", {}).get(phase)
    return f" in {volume.path}" if volume is not None else ""


def need(item: Mapping[Any, Any], key: str, maker: str, user: object) -> Any:
    """Return ``item[key]``, or name the transform that has to come first.

    Raises:
        ValueError: the item has no such key.
    """
    if item.get(key) is None:
        raise ValueError(
            f"{case_name(item)}: {type(user).__name__} needs {key!r}, which {maker} makes; put {maker} before it"
        )
    return item[key]


class LoadImagePhasesd(PhaseTransform):
    """Opens all phases of a case without reading their voxels, and checks that they can belong together.

    Afterwards the item holds

    - ``image`` and ``volumes``: {phase: `Volume`} of the phases present, in the order of `phases`;
    - ``reference``: the phase whose axes define the common grid;
    - ``masks``: the masks as `Volume`, {phase: mask} or, where one serves all phases, {"roi": mask}; none of
      a phase that is not among `phases`;
    - ``roi``: the mask that gives the region (see `region_mask`), or None.

    Args:
        keys: key of {phase: path}; an absent phase is None or not in the mapping.
        phases: names of all phases, in order.
        reference: phase whose axes define the grid; a case without it uses its first phase.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is not a readable 3D volume, a phase is unknown, all phases are missing, a phase
            lies outside the reference phase, or a mask outside its phase (the reference phase, if it serves
            all). A mask may have a grid of its own, as a phase may.
    """

    def __init__(self, keys: str = "image", phases: Sequence[str] = (), reference: str | None = None) -> None:
        super().__init__(keys)
        self.phases = list(phases)
        if not self.phases:
            raise ValueError("`phases` must name at least one phase, found none")
        self.reference = self.phases[0] if reference is None else reference
        if self.reference not in self.phases:
            raise ValueError(f"`reference` must be among {listing(self.reference, self.phases)}, found {reference!r}")

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        if item.get("problem"):  # found while the dataset was read
            raise ValueError(item["problem"])
        paths = {phase: path for phase, path in item[self.key].items() if path is not None}
        for phase in paths:
            if phase not in self.phases:
                known = listing(phase, self.phases)
                raise ValueError(
                    f"{phase_name(item, phase)} must be one of {known}, found {paths[phase]}; correct its name"
                )
        if not paths:
            raise ValueError(
                f"{case_name(item)}: at least one of the phases [{', '.join(self.phases)}] must be present, "
                "found none; add a phase or remove the case"
            )
        places = {phase: (paths[phase], phase_name(item, phase)) for phase in self.phases if phase in paths}
        volumes, problems = _open_all(places)
        masks, more = _open_all(
            {phase: (path, mask_title(item, phase)) for phase, path in masks_of(item.get("roi")).items()}
        )
        if problems := problems + more:
            raise problems[0] if len(problems) == 1 else BadCases([str(error) for error in problems])
        item["reference"] = self.reference if self.reference in volumes else next(iter(volumes))
        self._check_overlap(item, volumes, masks)
        item[self.key], item["volumes"] = dict(volumes), volumes
        item["masks"] = {phase: mask for phase, mask in masks.items() if phase in (ROI, *self.phases)}
        item["roi"] = region_mask(masks, item["reference"], self.phases, volumes)
        return item

    @staticmethod
    def _check_overlap(item: dict[Any, Any], volumes: dict[str, Volume], masks: dict[str, Volume]) -> None:
        """Refuse a phase that shares no space with the reference, and a mask that shares none with its phase."""
        name = item["reference"]
        for phase, volume in volumes.items():
            gap = _gap(volumes[name], volume)
            if gap is not None:
                raise ValueError(
                    f"{phase_name(item, phase)} must overlap the reference phase {name!r}, found them {gap:.0f} "
                    f"mm apart in {volume.path} and {volumes[name].path}; correct the position in one header, or "
                    "take the phase out of the case"
                )
        for phase, mask in masks.items():
            drawn_on = phase if phase in volumes else name
            gap = _gap(volumes[drawn_on], mask)
            if gap is not None:
                raise ValueError(
                    f"{mask_title(item, phase)} must overlap phase {drawn_on!r}, found them {gap:.0f} mm apart in "
                    f"{mask.path} and {volumes[drawn_on].path}; correct the position in one header, or take the "
                    "mask out of the case"
                )


def _open_all(places: Mapping[Any, tuple[Any, str]]) -> tuple[dict[Any, Any], list[Exception]]:
    """Open volumes given by path and name; return those that open and the errors of the others."""
    volumes: dict[Any, Any] = {}
    problems: list[Exception] = []
    for key, (path, name) in places.items():
        try:
            volumes[key] = open_volume(path, name)
        except (ValueError, OSError) as error:
            problems.append(error)
    return volumes, problems


def _gap(one: Volume, other: Volume) -> float | None:
    """Return the distance in mm between two volumes that share no space; None where they do."""
    axes = frame_axes(one.affine, one.shape)
    first, second = (field_of_view(volume.affine, volume.shape, axes) for volume in (one, other))
    if (np.maximum(first[0], second[0]) < np.minimum(first[1], second[1])).all():
        return None
    return box_distance(first, second)


class StackPhasesd(PhaseTransform):
    """Stacks the phases of a case into one tensor and marks which are present.

    Afterwards the item holds ``image``, float32 [P, D, H, W] with absent phases exactly 0, and ``present``,
    bool [P]. A present phase is never constant, so an all-zero phase is an absent one.

    Args:
        keys: key of {phase: tensor [D, H, W]}.
        phases: names of all phases, in the order of P.
        num_phases: number of phases if each comes as V images, its views. ``image`` is then [P V, D, H, W] and
            ``present`` [P]; a phase is present if one of its views is.

    Raises:
        ValueError: no phase, an unknown or constant phase, or different shapes.

    >>> item = StackPhasesd(phases=["pre", "portal"])({"image": {"portal": torch.eye(2)[None]}})
    >>> item["present"].tolist(), item["image"].shape
    ([False, True], torch.Size([2, 1, 2, 2]))
    """

    def __init__(self, keys: str = "image", phases: Sequence[str] = (), num_phases: int | None = None) -> None:
        super().__init__(keys)
        self.phases = list(phases)
        self.num_phases = len(self.phases) if num_phases is None else num_phases
        if not self.phases:
            raise ValueError("`phases` must name at least one phase, found none")

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        images = item[self.key]
        unknown = [phase for phase in images if phase not in self.phases]
        if unknown or not images:
            raise ValueError(
                f"{case_name(item)}: the phases must be one or more of [{', '.join(self.phases)}], found "
                f"[{', '.join(images)}]; correct `phases` or the case"
            )
        shape = next(iter(images.values())).shape
        stacked = np.zeros((len(self.phases), *shape), dtype=np.float32)
        for phase, values in images.items():
            if values.shape != shape:
                raise ValueError(
                    f"{phase_name(item, phase)} must have the shape {tuple(shape)} of the other phases, "
                    f"found {tuple(values.shape)}{phase_source(item, phase)}; put ResamplePhasesd before "
                    "StackPhasesd"
                )
            seen = values.numpy()[item["inside"][phase].numpy()] if "inside" in item else values.numpy()
            if seen.min() == seen.max():
                raise ValueError(
                    f"{phase_name(item, phase)} must have voxels that differ, found "
                    f"{seen.flat[0]:g} everywhere in the region{phase_source(item, phase)}; "
                    "check the intensity limits and the region, or take the phase out of the case"
                )
            stacked[self.phases.index(phase)] = values.numpy()
        item[self.key] = torch.from_numpy(stacked)
        there = torch.tensor([phase in images for phase in self.phases])
        item["present"] = there.reshape(self.num_phases, -1).any(dim=1)
        return item
