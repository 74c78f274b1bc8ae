"""Opening the phases of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scripts.data.nearest import listing
from scripts.data.volumes import open_volume
from scripts.workers import BadCases

from .frame import field_of_view, frame_axes
from .phase_transform import PhaseTransform, case_name, phase_name

ROI = object()
"""Key of the region mask among the phases, whatever these are called."""


class LoadImagePhasesd(PhaseTransform):
    """Opens all phases of a case without reading their voxels, and checks that they can belong together.

    Afterwards the item holds

    - ``image`` and ``volumes``: {phase: `Volume`} for the phases that are there, in the order of `phases`;
    - ``reference``: the phase whose axes define the common grid;
    - ``roi``: the mask as a `Volume`, or None.

    Args:
        keys: key of {phase: path}; a phase that is absent has no entry, or None.
        phases: names of all phases, in order.
        reference: phase whose axes define the grid; a case without it takes its first phase.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is not a readable 3D volume, a phase is unknown, all phases are missing, or a phase
            lies outside the reference phase.
    """

    def __init__(self, keys: str = "image", phases: Sequence[str] = (), reference: str | None = None) -> None:
        super().__init__(keys)
        self.phases = list(phases)
        if not self.phases:
            raise ValueError("`phases` must name at least one phase, found none")
        self.reference = self.phases[0] if reference is None else reference
        if self.reference not in self.phases:
            raise ValueError(
                f"`reference` must be among {listing(self.reference, self.phases)}, found {reference!r}"
            )

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        if item.get("problem"):  # found before any file was opened
            raise ValueError(item["problem"])
        paths = {phase: path for phase, path in item[self.key].items() if path is not None}
        for phase in paths:
            if phase not in self.phases:
                known = listing(phase, self.phases)
                raise ValueError(
                    f"{phase_name(item, phase)} must be one of {known}, found {paths[phase]}; correct its "
                    "name"
                )
        if not paths:
            raise ValueError(
                f"{case_name(item)}: at least one of the phases [{', '.join(self.phases)}] must be there, "
                "found none; add a phase or remove the case"
            )
        roi = item.get("roi")
        places = {phase: (paths[phase], phase_name(item, phase)) for phase in self.phases if phase in paths}
        mask = {} if roi is None else {ROI: (roi, f"{case_name(item)}: roi")}
        volumes, problems = _open_all(places | mask)
        if problems:
            raise problems[0] if len(problems) == 1 else BadCases([str(error) for error in problems])
        item["roi"] = volumes.pop(ROI, None)
        item["reference"] = self.reference if self.reference in volumes else next(iter(volumes))
        self._check_overlap(item, volumes)
        item[self.key], item["volumes"] = dict(volumes), volumes
        return item

    @staticmethod
    def _check_overlap(item: dict[Any, Any], volumes: dict[str, Any]) -> None:
        """Refuse a phase that shares no space with the reference."""
        reference = volumes[item["reference"]]
        axes = frame_axes(reference.affine, reference.shape)
        low, high = field_of_view(reference.affine, reference.shape, axes)
        for phase, volume in volumes.items():
            other_low, other_high = field_of_view(volume.affine, volume.shape, axes)
            if not (np.maximum(low, other_low) < np.minimum(high, other_high)).all():
                raise ValueError(
                    f"{phase_name(item, phase)} must overlap the reference phase {item['reference']!r}, "
                    f"found them {_gap(low, high, other_low, other_high):.0f} mm apart in {volume.path} and "
                    f"{reference.path}; correct the position in one header, or take the phase out of the case"
                )


def _open_all(places: Mapping[Any, tuple[Any, str]]) -> tuple[dict[Any, Any], list[Exception]]:
    """Open volumes by path and name; return those that open, and the errors of the others."""
    volumes: dict[Any, Any] = {}
    problems: list[Exception] = []
    for key, (path, name) in places.items():
        try:
            volumes[key] = open_volume(path, name)
        except (ValueError, OSError) as error:
            problems.append(error)
    return volumes, problems


def _gap(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray) -> float:
    """Return the distance between two boxes in mm."""
    return float(np.linalg.norm(np.maximum(0, np.maximum(low - other_high, other_low - high))))
