# SPDX-License-Identifier: Apache-2.0
"""Batches with masks for a classifier that also learns them, and a check of what is trained."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from scripts.engines.segmentation import MovesMasks
from scripts.files.processes import process_count
from scripts.networks.with_masks import WithMasks
from torch.optim import Optimizer


class PrepareMasked(MovesMasks):
    """As `MovesMasks`, for classifiers: what it returns is the same as without masks, which `MaskLoss` reads here.

    Args as for `PrepareBatch`.

    Raises:
        ValueError: a transform that would move the image alone; phase dropout that moves the grid of a case.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.augmentation is not None and not self.transforms:
            raise ValueError(
                "augmentation must be an AugmentBatch, whose geometry moves masks as well, found "
                f"{type(self.augmentation).__name__}; correct it"
            )
        if self.removal is not None and self.removal.early and (self.removal.hides == "file" or not self.removal.alike):
            raise ValueError(
                "phase_dropout_hides must leave each case on the grid of its mask, found `file`, or a step before the "
                "intensity rule that reads several phases; choose --phase_dropout_hides scale"
            )


class MaskTraining:
    """Checks where a training begins that nothing of what learns masks is left out by another overlay.

    Args:
        network: the classifier with its decoder.
        optimizer: of the trainer.

    Raises:
        ValueError: the trainer trains another network, the optimiser lacks weights, or there are several processes.
    """

    def __init__(self, network: WithMasks, optimizer: Optimizer) -> None:
        self.network = network
        self.optimizer = optimizer

    def attach(self, engine: Engine) -> None:
        """Check at the start."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, trainer: Any) -> None:
        """Check."""
        if process_count() > 1:
            raise ValueError(
                f"masks are learned by a training of one process, found {process_count()}; leave out "
                "configs/training/with_masks.yaml, or start one process"
            )
        known = {id(weight) for group in self.optimizer.param_groups for weight in group["params"]}
        lacking = [name for name, weight in self.network.named_parameters() if id(weight) not in known]
        if trainer.network is not self.network or lacking:
            found = f"an optimiser without {lacking[0]}" if lacking else "a trainer of another network"
            raise ValueError(
                f"masks are learned by all parts together, found {found}; name configs/training/with_masks.yaml last"
            )
