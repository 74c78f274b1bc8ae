"""From phases by name to one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .phase_transform import PhaseTransform, case_name, phase_name, phase_source


class StackPhasesd(PhaseTransform):
    """Stacks the phases of a case, and says which of them are there.

    Afterwards the item holds ``image``, float32 [P, D, H, W], whose absent phases are exactly 0, and
    ``present``, bool [P]. A phase that is there is never constant, so an all-zero phase is an absent one.

    Args:
        keys: key of {phase: tensor [D, H, W]}.
        phases: names of all phases; their order is that of P.
        num_phases: where each phase comes as several images, its views: the number of phases. ``image`` is
            then [P V, D, H, W] and ``present`` [P], a phase being there where one of its views is.

    Raises:
        ValueError: no phase is there, a phase is unknown or constant, or shapes differ.

    >>> item = StackPhasesd(phases=["pre", "portal"])({"image": {"portal": torch.eye(2)[None]}})
    >>> item["present"].tolist(), item["image"].shape
    ([False, True], torch.Size([2, 1, 2, 2]))
    """

    def __init__(
        self, keys: str = "image", phases: Sequence[str] = (), num_phases: int | None = None
    ) -> None:
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
