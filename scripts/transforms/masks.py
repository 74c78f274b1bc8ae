# SPDX-License-Identifier: Apache-2.0
"""What was drawn in the masks of a case, on its grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, SelectItemsd
from scripts.cases.masks import ROI, drawn_labels, nothing_drawn
from scripts.cases.structures import named_values
from scripts.transforms.phases import PhaseTransform, case_name, need
from scripts.transforms.resample import ResamplePhasesd
from scripts.volumes.grid import Size
from scripts.volumes.label_map import NOT_DRAWN, sample_labels
from scripts.volumes.volume import Volume

MASKS = ("case", "phase")
"""One mask per case, or one per phase."""


class ResampleMasksd(PhaseTransform):
    """Brings the masks of a case onto the grid of its phases, by `sample_labels`; behind `ResamplePhasesd`.

    Afterwards the item holds ``mask``, uint8 [M, D, H, W]: 0 is background, 1 to S are the structures, and 255
    everywhere is a mask that the case does not have.

    Args:
        keys: key of the phases.
        phases: names of all phases, in order.
        structures: S names of the values 1, 2, ...; none, or lesion alone: every value above 0 is one structure.
        masks: ``case``, one mask (of several, that of the reference phase), M = 1; or ``phase``, one for each
            phase, M = P, and a case with one mask has it for its reference phase.
        empty: whether a mask in which nothing is drawn is taken as it is.
        optional: whether a case without any mask is taken, with none of them drawn.

    Raises:
        ValueError: an unknown kind of masks; a case without any mask, unless `optional`; a mask with other values, or
            nothing drawn.
    """

    def __init__(
        self,
        keys: str = "image",
        phases: Sequence[str] = (),
        structures: Sequence[str] = (),
        masks: str = "case",
        empty: bool = False,
        optional: bool = False,
    ) -> None:
        super().__init__(keys)
        if masks not in MASKS:
            raise ValueError(f"`masks` must be {' or '.join(MASKS)}, found {masks!r}")
        self.phases = list(phases)
        self.structures = list(structures)
        self.masks = masks
        self.empty = empty
        self.optional = optional

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        item = dict(data)
        volumes = self.by_slot(item)
        if not any(volumes) and not self.optional:
            raise ValueError(f"{case_name(item)}: outlines are learned from a mask ('roi'), found none; add it")
        grid = np.asarray(need(item, "grid_affine", "ResamplePhasesd", self))
        shape = next(iter(item[self.key].values())).shape
        size: Size = (shape[0], shape[1], shape[2])
        found = [self._one(item, volume, grid, size) for volume in volumes]
        item["mask"] = torch.from_numpy(np.stack(found))
        return item

    def by_slot(self, item: Mapping[Any, Any]) -> list[Volume | None]:
        """Return the M masks of an opened case, None for those that it does not have."""
        masks = item.get("masks") or {}
        if self.masks == "case":
            return [item.get("roi")]
        if ROI in masks:
            masks = {item["reference"]: masks[ROI]}
        return [masks.get(phase) for phase in self.phases]

    def _one(self, item: Mapping[Any, Any], volume: Volume | None, grid: np.ndarray, size: Size) -> np.ndarray:
        if volume is None:
            return np.full(size, NOT_DRAWN, dtype=np.uint8)
        drawn = drawn_labels(volume, named_values(self.structures))
        if not drawn.any() and not self.empty:
            raise ValueError(nothing_drawn(case_name(item), volume.path))
        return sample_labels(drawn, volume.affine, grid, size, max(len(self.structures), 1))[0]


def with_masks(preprocessing: Compose, masks: ResampleMasksd) -> Compose:
    """Return the same preprocessing with a step for masks behind `ResamplePhasesd`, and ``mask`` in its result.

    The given one, which validation, test and inference share, is not changed.

    Args:
        preprocessing: steps from item to tensors.
        masks: the step.

    Raises:
        ValueError: no step that brings the phases onto one grid.
    """
    steps = list(preprocessing.flatten().transforms)
    place = next((i for i, step in enumerate(steps, start=1) if isinstance(step, ResamplePhasesd)), None)
    if place is None:
        raise ValueError("masks need the step ResamplePhasesd before them, found none in `preprocessing`; add it")
    found = [*steps[:place], masks, *steps[place:]]
    for i, step in enumerate(found):
        if isinstance(step, SelectItemsd):
            found[i] = SelectItemsd([*step.keys, "mask"], allow_missing_keys=step.allow_missing_keys)
    return Compose(found)
