# SPDX-License-Identifier: Apache-2.0
"""From a batch of patches to the network, from windows to a whole scan, and the Dice score that chooses the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from monai.inferers import sliding_window_inference
from scripts.engines.inferer import PhaseInferer, PrepareBatch
from scripts.engines.selection import SelectionScore
from scripts.networks.parts import presence
from scripts.transforms.augment import AugmentBatch, PerCase
from scripts.transforms.geometry import RandomGeometry
from scripts.volumes.label_map import NOT_DRAWN, label_maps
from torch import Tensor

AXES = ("D", "H", "W")


class MovesMasks(PrepareBatch):
    """As `PrepareBatch`, and moves the masks of a batch by the geometry of its images (nearest neighbour).

    The masks of the last batch are kept as ``mask``; they are no input of the network. Args as for `PrepareBatch`.

    Raises:
        ValueError: a transform of MONAI that moves voxels, since masks would not move with the image.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.mask: Tensor | None = None  # of the last batch, [B, M, D, H, W]
        self.transforms = list(getattr(self.augmentation, "transforms", []))
        check_moves_masks(self.transforms)

    def augment(self, batch: dict[str, Any], image: Tensor, present: Tensor) -> Tensor:
        """Augment images and masks alike."""
        mask = batch.get("mask")
        moved = None if mask is None else torch.as_tensor(mask).as_subclass(Tensor).to(image.device)
        image, self.mask = augment_together(self.transforms, image, moved, present)
        return image


class PrepareOutlined(MovesMasks):
    """As `MovesMasks`, for networks that outline: the masks of a batch are what is to be learned.

    Args:
        augmentation: of a training; None for evaluation.
        phase_dropout: called as ``phase_dropout(present)``, the phases to be seen; None for evaluation.

    Shape:
        batch with ``image [B, P, D, H, W]``, ``present [B, P]`` and, where known, ``mask [B, M, D, H, W]``
        -> ``(image, mask or None, (), {"present": ...})``
    """

    def __init__(
        self, augmentation: AugmentBatch | None = None, phase_dropout: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__(augmentation, phase_dropout)

    def __call__(
        self, batch: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, tuple, dict[str, Tensor]]:
        image, _, further, optional = super().__call__(batch, device, non_blocking, **kwargs)
        return image, self.mask, further, {"present": optional["present"]}


def check_moves_masks(transforms: Sequence[Callable]) -> None:
    """Refuse a random transform of MONAI that moves voxels, since masks would not move with the image."""
    for one in transforms:
        if isinstance(one, PerCase) and type(one.transform).__module__.startswith("monai.transforms.spatial"):
            raise ValueError(
                f"augmentation: {one.name} would move the image and not its mask; use "
                "scripts.transforms.RandomGeometry, which moves both"
            )


def augment_together(
    transforms: Sequence[Callable], image: Tensor, mask: Tensor | None, present: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Augment images, and move their masks, if there are any, as they are moved.

    Args:
        transforms: of an `AugmentBatch`.
        image: [B, P, D, H, W].
        mask: [B, M, D, H, W], 255 where a mask is not drawn.
        present: [B, P].
    """
    for transform in transforms:
        if isinstance(transform, RandomGeometry) and mask is not None:
            image, mask = transform.together(image, mask, NOT_DRAWN)
        else:
            image = transform(image, present)
    return image, mask


class WindowInferer(PhaseInferer):
    r"""Outlines whole scans by windows of the size of a training's patch, blended by a Gaussian (MONAI).

    Where it is not told which phases are present (``present=``), as by a server, those are that are not 0 everywhere.

    A `threshold` t adds :math:`\log((1 - t) / t)` to the logits of the structures: the most probable at a voxel is a
    structure where its share of structure and background is above t, with one structure where its probability is.

    Args:
        size: voxels of a window along D, H, W.
        overlap: share of a window that the next one sees, too.
        windows: windows at a time.
        precision: ``auto``, ``bf16`` or ``fp32``, see `autocast`.
        flips: of the axes D, H and W those along which the scan is flipped as well: the mean of the logits of all
            combinations counts.
        structures: S; needed with a threshold.
        threshold: t, from which a voxel is outlined; in (0, 1).

    Raises:
        ValueError: an overlap outside [0, 1), a threshold outside (0, 1), an unknown axis.

    Shape:
        inputs ``[B, P, D, H, W]`` -> logits ``[B, M (S + 1), D, H, W]``
    """

    def __init__(
        self,
        size: Sequence[int],
        overlap: float = 0.5,
        windows: int = 4,
        precision: str = "fp32",
        flips: Sequence[str] = (),
        structures: int = 1,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(precision)
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), found {overlap}")
        if not 0 < threshold < 1:
            raise ValueError(f"the threshold of an outline must lie in (0, 1), found {threshold}")
        if len(set(flips)) < len(flips) or not set(flips) <= set(AXES):
            raise ValueError(f"flips must be different ones of {', '.join(AXES)}, found [{', '.join(map(str, flips))}]")
        self.size = [int(side) for side in size]
        self.overlap = overlap
        self.windows = windows
        self.flips = [
            axes for n in range(len(flips) + 1) for axes in combinations([AXES.index(name) - 3 for name in flips], n)
        ]
        self.structures = structures
        self.raised = math.log((1 - threshold) / threshold)

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        present = presence(inputs, kwargs.pop("present", None))  # of the scan: a window of air may be 0 everywhere
        found = []
        for row in range(len(inputs)):  # cases by themselves, for each has phases of its own

            def outline(patches: Tensor, of_case: Tensor = present[row : row + 1]) -> Tensor:
                shown = {"present": of_case.expand(len(patches), -1)}
                return super(WindowInferer, self).__call__(patches, network, *args, **shown, **kwargs).float()

            case = inputs[row : row + 1]
            flipped = [self._by_windows(case.flip(axes), outline).flip(axes) for axes in self.flips]
            found.append(self._thresholded(torch.stack(flipped).mean(dim=0)))
        return torch.cat(found)

    def _by_windows(self, case: Tensor, outline: Callable[[Tensor], Tensor]) -> Tensor:
        found = sliding_window_inference(case, self.size, self.windows, outline, self.overlap, mode="gaussian")
        return torch.as_tensor(found)

    def _thresholded(self, logits: Tensor) -> Tensor:
        if self.raised == 0:
            return logits
        by_mask = logits.unflatten(1, (-1, self.structures + 1))
        return torch.cat([by_mask[:, :, :1], by_mask[:, :, 1:] + self.raised], dim=2).flatten(1, 2)


def case_dice(outlined: Tensor, drawn: Tensor, structures: int) -> Tensor:
    r"""Return the Dice coefficient of each mask and structure of one case.

    .. math:: 2 |A \cap B| / (|A| + |B|)

    Args:
        outlined: label map, [M, D, H, W].
        drawn: label map, [M, D, H, W]; 255: not drawn.
        structures: S.

    Returns:
        float32 [M, S]; NaN where nothing is drawn and nothing outlined, or the mask is not there.

    >>> case_dice(torch.tensor([[[[1, 1, 0]]]]), torch.tensor([[[[1, 0, 0]]]]), 2)
    tensor([[0.6667,    nan]])
    """
    both, sum_ = [], []
    for value in range(1, structures + 1):
        one, other = (labels.flatten(1) == value for labels in (outlined, drawn))
        both.append((one & other).sum(dim=1))
        sum_.append(one.sum(dim=1) + other.sum(dim=1))
    dice = 2 * torch.stack(both, dim=1) / torch.stack(sum_, dim=1)
    missing = (drawn.flatten(1) == NOT_DRAWN).any(dim=1)
    return torch.where(missing[:, None], torch.full_like(dice, float("nan")), dice)


class DiceScore(SelectionScore):
    """The Dice coefficient on the grid that chooses the checkpoint: mean over cases, masks and structures.

    Args:
        structures: S.
        smoothing: as in `SelectionScore`.
    """

    def __init__(self, structures: int, smoothing: float = 0.0) -> None:
        self.structures = structures
        super().__init__("loss", smoothing, output_transform=self.of_output)

    def of_output(self, output: Sequence[dict[str, Any]]) -> tuple[Tensor, Tensor]:
        """Return the Dice coefficients [B, M S] of the cases of a batch."""
        found = []
        for case in output:
            drawn = torch.as_tensor(case["label"]).as_subclass(Tensor)
            outlined = label_maps(torch.as_tensor(case["pred"]).as_subclass(Tensor), len(drawn))
            found.append(case_dice(outlined, drawn, self.structures).flatten())
        dice = torch.stack(found).cpu()
        return dice, torch.zeros(len(dice))

    def _score(self, probabilities: Tensor, labels: Tensor) -> float:
        return float(probabilities.nanmean())


def dice_metrics(structures: int) -> dict[str, DiceScore]:
    """Return what a validation measures beside its smoothed score, by name."""
    return {"dice": DiceScore(structures)}
