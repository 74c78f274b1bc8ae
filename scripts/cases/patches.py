# SPDX-License-Identifier: Apache-2.0
"""Random patches of whole scans, balanced between the structures that are outlined in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from scripts.cases.masks import check_drawn, drawn_structures
from scripts.cases.structures import named_values
from scripts.volumes.label_map import NOT_DRAWN
from torch.nn.functional import pad


class Patches(Dataset):
    """Draws patches from the cases of a dataset, of their image and masks at the same place.

    With the probability `foreground` a patch is centred on a voxel of a structure, each structure of the case
    being as likely as the others however small it is; else on any voxel. Patches reach as far as the scan does
    and no farther, unless the scan is smaller: then it is padded with zeros, equally on both sides.

    All draws follow from torch's CPU generator, so that an epoch is repeated by its seed.

    Args:
        dataset: of items with ``image`` [P, D, H, W] and ``mask`` uint8 [M, D, H, W] (255: not drawn).
        size: voxels of a patch along D, H, W.
        number: patches per case and epoch.
        foreground: share of the patches that are centred on a structure.
        structures: names of the values 1, 2, ..., each of which a case must show; none are not looked for.
        cases: the same cases with the paths of their masks; None: as the dataset has them.

    Raises:
        ValueError: a share outside [0, 1], fewer than one patch, or a structure that no case shows.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: Sequence[int],
        number: int = 1,
        foreground: float = 0.5,
        structures: Sequence[str] = (),
        cases: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        if not 0 <= foreground <= 1 or number < 1:
            raise ValueError(
                f"Patches: `foreground` must be within [0, 1] and `number` at least 1, found {foreground} and {number}"
            )
        if structures:
            names = named_values(structures)
            check_drawn(drawn_structures(dataset.data if cases is None else cases, names), names)
        super().__init__(dataset.data)
        self.dataset = dataset
        self.size = (int(size[0]), int(size[1]), int(size[2]))
        self.number = number
        self.foreground = foreground
        self.voxels: dict[int, list[np.ndarray]] = {}
        """Case -> for each structure, the flat positions of its voxels."""

    def __len__(self) -> int:
        return len(self.dataset) * self.number

    def __getitem__(self, index: int) -> dict[Any, Any]:  # type: ignore[override]
        number = index % len(self.dataset)
        item: Mapping[Any, Any] = self.dataset[number]  # type: ignore[assignment]
        image, mask = torch.as_tensor(item["image"]), torch.as_tensor(item["mask"])
        shape = (int(mask.shape[1]), int(mask.shape[2]), int(mask.shape[3]))
        corner = self.corner(self._centre(number, mask, shape), shape)
        where = tuple(slice(at, at + side) for at, side in zip(corner, self.size, strict=True))
        return {**item, "image": self._cut(image, where), "mask": self._cut(mask, where)}

    def _centre(self, number: int, mask: torch.Tensor, shape: tuple[int, int, int]) -> list[int]:
        """Draw the voxel in the middle of a patch."""
        if number not in self.voxels:
            flat = mask.reshape(len(mask), -1).numpy()
            values = [value for value in np.unique(flat) if value not in (0, NOT_DRAWN)]
            self.voxels[number] = [np.flatnonzero((flat == value).any(axis=0)).astype(np.int32) for value in values]
        structures = self.voxels[number]
        chance, which, place = torch.rand(3, dtype=torch.float64).tolist()
        if structures and chance < self.foreground:
            voxels = structures[int(which * len(structures))]
            flat_index = int(voxels[int(place * len(voxels))])
        else:
            flat_index = int(place * np.prod(shape))
        return [int(position) for position in np.unravel_index(flat_index, shape)]

    def corner(self, centre: Sequence[int], shape: Sequence[int]) -> list[int]:
        """Return the first voxel of a patch about a centre, within the scan; of a smaller scan, before it.

        >>> patches = Patches(Dataset([]), size=(4, 4, 4))
        >>> patches.corner([0, 5, 9], [10, 10, 10]), patches.corner([0, 0, 0], [4, 2, 10])
        ([0, 3, 6], [0, -1, 0])
        """
        found = []
        for middle, side, count in zip(centre, self.size, shape, strict=True):
            room = count - side
            found.append(min(max(middle - side // 2, 0), room) if room >= 0 else -((side - count) // 2))
        return found

    def _cut(self, values: torch.Tensor, where: tuple[slice, ...]) -> torch.Tensor:
        """Cut a patch out of [C, D, H, W], padded with zeros where the scan ends; masks not drawn stay so."""
        sides: list[int] = []
        inner = []
        for part, count in zip(where, values.shape[1:], strict=True):
            inner.append(slice(max(part.start, 0), min(part.stop, count)))
            sides = [max(-part.start, 0), max(part.stop - count, 0), *sides]
        cut = pad(values[(slice(None), *inner)], sides)
        if values.dtype == torch.uint8 and any(sides):
            cut[values.flatten(1)[:, 0] == NOT_DRAWN] = NOT_DRAWN
        return cut.contiguous()
