"""From the loader's batch to the network's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class PrepareBatch:
    """Moves a batch to the device, augments it there, and names the network's optional inputs.

    An instance is the ``prepare_batch`` of a MONAI trainer or evaluator.

    Args:
        augmentation: called as ``augmentation(image, present)`` on the device; None for evaluation.
        phase_dropout: called as ``phase_dropout(present)``, the phases to be seen; None for evaluation.
        clinical_dropout: called as ``clinical_dropout(clinical)``, the table to be seen; None for evaluation.

    Shape:
        batch with ``image [B, P, D, H, W]``, ``present [B, P]`` and, where known, ``clinical [B, T]`` and
        ``label [B]`` -> ``(image, label or None, (), {"present": ...})``, and ``clinical`` where T > 0
    """

    def __init__(
        self,
        augmentation: Callable[[Tensor, Tensor], Tensor] | None = None,
        phase_dropout: Callable[[Tensor], Tensor] | None = None,
        clinical_dropout: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.augmentation = augmentation
        self.phase_dropout = phase_dropout
        self.clinical_dropout = clinical_dropout

    def __call__(
        self,
        batch: dict[str, Any],
        device: torch.device | str | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None, tuple, dict[str, Tensor]]:
        def move(value: Any) -> Tensor:
            return torch.as_tensor(value).to(device=device, non_blocking=non_blocking, **kwargs)

        image, present = move(batch["image"]), move(batch["present"])
        if self.augmentation is not None:
            image = self.augmentation(image, present)
        if self.phase_dropout is not None:
            present = self.phase_dropout(present)
        label = move(batch["label"]).long() if "label" in batch else None
        optional = {"present": present}
        if "clinical" in batch and batch["clinical"].shape[1] > 0:
            clinical = move(batch["clinical"])
            optional["clinical"] = (
                clinical if self.clinical_dropout is None else self.clinical_dropout(clinical)
            )
        return image, label, (), optional
