"""From the loader's batch to the network's arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from scripts.engines.removal import Removal

logger = logging.getLogger(__name__)


class PrepareBatch:
    """Moves a batch to the device, augments it there, and names the network's optional inputs.

    An instance is the ``prepare_batch`` of a MONAI trainer or evaluator.

    Args:
        augmentation: called as ``augmentation(image, present)`` on the device; None for evaluation.
        phase_dropout: called as ``phase_dropout(present)``, the phases to be seen; None for evaluation.
        removal: gives a case whose phases are hidden as it would be without their files; None hides them by
            their mark alone. Where the others depend on what is hidden, phases are drawn before augmentation,
            which then finds what it would find without the files. A case that cannot be prepared without a
            phase keeps it, and is named once.
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
        removal: Removal | None = None,
    ) -> None:
        self.augmentation = augmentation
        self.phase_dropout = phase_dropout
        self.removal = removal
        self.told: set[str] = set()
        self.clinical_dropout = clinical_dropout
        self.seen: Tensor | None = None  # phases of the last batch that are not hidden, [B, P]

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
        early = self.removal is not None and self.removal.early
        if early:
            image, present = self._hide(batch, image, present)
        if self.augmentation is not None:
            image = self.augmentation(image, present)
        if self.phase_dropout is not None and not early:
            present = self.phase_dropout(present)
        label = move(batch["label"]).long() if "label" in batch else None
        self.seen = present
        optional = {"present": present}
        if "clinical" in batch and batch["clinical"].shape[1] > 0:
            clinical = move(batch["clinical"])
            optional["clinical"] = (
                clinical if self.clinical_dropout is None else self.clinical_dropout(clinical)
            )
        return image, label, (), optional

    def _hide(self, batch: dict[str, Any], image: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Hide phases as if their files were not there; return the image and the phases that are left."""
        if self.phase_dropout is None or self.removal is None:
            return image, present
        shown = self.phase_dropout(present)
        image, errors = self.removal.batch(batch["case"], image, present, shown)
        for row, error in enumerate(errors):
            if error is not None:
                shown = shown.clone() if shown is present else shown
                shown[row] = present[row]
                if batch["case"][row] not in self.told:
                    self.told.add(batch["case"][row])
                    logger.warning(
                        "phase_dropout keeps phases that it would hide, since without them: %s", error
                    )
        return image, shown
