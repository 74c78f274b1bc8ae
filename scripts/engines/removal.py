# SPDX-License-Identifier: Apache-2.0
"""Prepares cases as if the files of some of their phases were missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.data import Dataset
from monai.transforms import CastToTyped, Compose, DeleteItemsd, Identityd, SelectItemsd, Transform
from scripts.cases.cache import DiskCache, MemoryCache
from scripts.cases.masks import masks_of
from scripts.files.plain_text import listing
from scripts.transforms.clinical import EncodeClinicald
from scripts.transforms.intensity import Intensity, MeasuredIntensity
from scripts.transforms.masks import ResampleMasksd
from scripts.transforms.phases import LoadImagePhasesd, StackPhasesd
from scripts.transforms.region import Region
from scripts.transforms.resample import ResamplePhasesd
from scripts.transforms.server_inputs import FindPhasesd
from scripts.transforms.server_labels import ReadLabeld
from torch import Tensor

logger = logging.getLogger(__name__)

HIDES = ("slot", "scale", "file")
FIRST = (ReadLabeld, FindPhasesd)
"""Steps that do not read the phases."""
BY_PHASE = (*FIRST, LoadImagePhasesd, Region, ResamplePhasesd, ResampleMasksd)
"""Steps in which a phase depends on the others only through the grid, which is that of the reference phase."""
AFTERWARDS = (StackPhasesd, Identityd, CastToTyped)
"""Steps after the intensity rule that treat phases independently; any other filter may mix them."""
OTHER_KEYS = (EncodeClinicald, SelectItemsd, DeleteItemsd)
Item = dict[Any, Any]


class Removal:
    """Prepares cases without some of their phases, as if these files were missing.

    A phase that is merely marked absent still influences the others: through an intensity rule of all phases
    together (`joint`) and, if it is the reference phase, through the grid. The prediction for such a case may
    differ from that for a case that lacks the file. This class therefore repeats the preprocessing steps that
    depend on which phases exist, on the phases that are left, so that both predictions are the same.

    The volumes on their grid, before the intensity rule, are cached per case (and removed files) in the way that
    the dataset caches its cases: in memory, on disk, or not at all.

    Args:
        dataset: its `data` are items and its `transform` is the preprocessing; any other dataset, e.g. of
            prepared tensors, has no files to remove, and its phases are only marked absent.
        hides: ``file``: everything as without the file; ``scale``: intensities as without it, but on the grid
            that the case has; ``slot``: neither.

    Raises:
        ValueError: an unknown value of `hides`.
    """

    def __init__(self, dataset: Any, hides: str = "file") -> None:
        if hides not in HIDES:
            raise ValueError(f"phase_dropout_hides must be one of {listing(str(hides), HIDES)}, found {hides!r}")
        self.hides = hides
        self.dataset = dataset
        transform = getattr(dataset, "transform", None)
        self.steps = list(transform.flatten().transforms) if isinstance(transform, Compose) else []
        self.loader = next((step for step in self.steps if isinstance(step, LoadImagePhasesd)), None)
        self.key = "image" if self.loader is None else self.loader.key
        rule = next((i for i, step in enumerate(self.steps) if isinstance(step, Intensity)), len(self.steps))
        self.before, self.after = self.steps[:rule], self.steps[rule:]
        intensity = self.after[0] if self.after else None
        self.alike = all(isinstance(step, BY_PHASE) for step in self.before)
        self.mixes = (isinstance(intensity, MeasuredIntensity) and intensity.joint) or not all(
            isinstance(step, (*AFTERWARDS, *OTHER_KEYS)) for step in self.after[1:]
        )
        self.stack = next((step for step in self.after if isinstance(step, StackPhasesd)), None)
        self.kept: dict[tuple[str, tuple[str, ...]], Item] = {}
        self._items: dict[str, Item] | None = None
        self._disk: DiskCache | None = None

    @property
    def early(self) -> bool:
        """Whether hiding a phase may change the others, so that it must happen before augmentation."""
        if self.loader is None or self.hides == "slot":
            return False
        return self.mixes or not self.alike or self.hides == "file"

    def matters(self, case: str, present: Tensor, shown: Tensor) -> bool:
        """Return whether a case would look different without the files of the phases that are not shown.

        Args:
            case: name of the case.
            present: phases that the case has, [P] bool.
            shown: which of them are left, [P] bool.
        """
        if not self.early:
            return False
        before, left = self._names(case, present), self._names(case, present & shown)
        if not left or left == before:
            return False
        return self.mixes or not self.alike or self._removed(case, before, left) != ()

    def __call__(self, case: str, present: Tensor, shown: Tensor) -> Tensor:
        """Return the image of a case prepared without the phases that are not shown: float32 [P, D, H, W].

        Args:
            case: name of the case.
            present: phases that the case has, [P] bool.
            shown: which of them are left, [P] bool; at least one.

        Raises:
            ValueError: the remaining phases cannot be prepared, e.g. the region lies outside the new reference phase.
        """
        left = self._names(case, present & shown)
        item = self._state(case, self._removed(case, self._names(case, present), left))
        for name in (self.key, "inside", "measured"):
            if name in item:
                item[name] = {phase: item[name][phase] for phase in left}
        for step in self.after:
            if not isinstance(step, OTHER_KEYS):
                item = step(item)
        return torch.as_tensor(item[self.key]).as_subclass(Tensor)

    def batch(
        self, names: Sequence[str], image: Tensor, present: Tensor, shown: Tensor
    ) -> tuple[Tensor, list[str | None]]:
        """Replace the cases of a batch that would look different without the phases that are not shown.

        Args:
            names: names of the cases.
            image: [B, P, D, H, W], as prepared with all their phases.
            present: phases that they have, [B, P] bool.
            shown: which of them are left, [B, P] bool.

        Returns:
            The image, and for each case the reason why it cannot be prepared without these phases, or None.
        """
        found = image
        errors: list[str | None] = [None] * len(names)
        there, left = present.cpu(), shown.cpu()
        for row, name in enumerate(names):
            if self.matters(str(name), there[row], left[row]):
                try:
                    volume = self(str(name), there[row], left[row])
                except ValueError as error:
                    errors[row] = str(error)
                    continue
                found = found.clone() if found is image else found
                found[row] = volume.to(image)
        return found, errors

    def names(self) -> list[str]:
        """Return the names of the cases."""
        return list(self.items())

    def items(self) -> dict[str, Item]:
        """Return the cases by name, with their paths by phase, which must still be found for a server's cases."""
        if self._items is None:
            self._items = {str(item["case"]): item for item in map(self._found, self.dataset.data)}
        return self._items

    def forget(self) -> None:
        """Release the volumes that are kept in memory."""
        self.kept.clear()

    def _names(self, case: str, present: Tensor) -> list[str]:
        """Return the channels of the marked phases that a case has; views of a phase are hidden together."""
        if self.loader is None:
            return []
        views = len(self.loader.phases) // len(present)
        marks = present.repeat_interleave(views).tolist()
        paths = self.items()[case][self.key]
        channels = zip(self.loader.phases, marks, strict=True)
        return [phase for phase, there in channels if there and paths.get(phase) is not None]

    def _removed(self, case: str, before: Sequence[str], left: Sequence[str]) -> tuple[str, ...]:
        """Return the phases whose files, or masks, decide about the grid of what is left."""
        if not self.alike:
            return tuple(phase for phase in before if phase not in left)
        if self.hides != "file" or self.loader is None:
            return ()
        reference = self.loader.reference
        order = sorted(before, key=lambda phase: phase != reference)  # who stands in for whom
        first, masks = min(order.index(phase) for phase in left), masks_of(self.items()[case].get("roi"))
        return tuple(phase for phase in order if phase not in left and (order.index(phase) < first or phase in masks))

    def _state(self, case: str, removed: tuple[str, ...]) -> Item:
        """Return the volumes of a case without the files of `removed`, before the intensity rule."""
        item = dict(self.items()[case])
        item[self.key] = {phase: path for phase, path in item[self.key].items() if phase not in removed}
        if isinstance(self.dataset, DiskCache):
            if self._disk is None:
                steps = Compose([*self.before, KeepVolumesd(self.key, self.after)])
                self._disk = DiskCache([], steps, self.dataset.folder, progress=False)
            return self._disk.prepared(item)
        if (case, removed) not in self.kept:
            for step in self.before:
                item = step(item)
            item = KeepVolumesd(self.key, self.after)(item)
            if not isinstance(self.dataset, MemoryCache):
                return item
            self.kept[case, removed] = item
        return dict(self.kept[case, removed])

    def _found(self, item: Mapping[Any, Any]) -> Item:
        found = dict(item)
        for step in self.before:
            if isinstance(step, FindPhasesd):
                found = step(found)
        return found


def images_without(item: Mapping[Any, Any], preprocessing: Compose) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return a function that prepares one case from some of its phases.

    It is called as ``without(image, present, shown)``, [P, D, H, W], [P] and [P] bool, with the case as it was
    prepared, and returns it as it would be without the files of the phases that are not shown. If that cannot be
    prepared, it returns the image unchanged, with a warning.

    Args:
        item: the case, with the paths of its phases.
        preprocessing: preprocessing of the case.
    """
    removal = Removal(Dataset([item], preprocessing.flatten()))
    name = removal.names()[0] if removal.loader is not None else str(item.get("case"))

    def without(image: Tensor, present: Tensor, shown: Tensor) -> Tensor:
        found, (error,) = removal.batch([name], image[None], present[None], shown[None])
        if error is not None:
            logger.warning("the contributions withhold phases that cannot be removed, since without them: %s", error)
        return found[0]

    return without


class KeepVolumesd(Transform):
    """Keeps the name of a case, its volumes on the grid, and what the intensity rule measures in the files.

    Args:
        key: key of the phases in the item.
        after: the intensity rule and the steps after it.
    """

    def __init__(self, key: str, after: Sequence[Any]) -> None:
        self.key = key
        self.rule = after[0] if after and isinstance(after[0], MeasuredIntensity) else None

    def __call__(self, data: Item) -> Item:
        kept = {name: data[name] for name in ("case", self.key, "inside") if name in data}
        if self.rule is not None and self.rule.statistics == "volume":
            kept["measured"] = {phase: self.rule.summary(data, phase) for phase in data[self.key]}
        return kept
