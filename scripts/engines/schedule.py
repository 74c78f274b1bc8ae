# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules (warm-up with cosine decay, or reduction on a plateau), and freezing of parts."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.optimizers import WarmupCosineSchedule
from scripts.engines.selection import SelectionScore
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader

logger = logging.getLogger(__name__)


def warmup_cosine(
    optimizer: Optimizer, dataloader: DataLoader, max_epochs: int, warmup_epochs: float = 0
) -> WarmupCosineSchedule:
    """Return a schedule per iteration: linear warm-up to the optimiser's learning rate, then a half cosine to 0.

    Args:
        optimizer: its learning rates are the peak values.
        dataloader: training loader, whose length is the number of iterations per epoch.
        max_epochs: epochs of the whole training.
        warmup_epochs: epochs of linear warm-up, fractions allowed.
    """
    iterations = len(dataloader)
    return WarmupCosineSchedule(
        optimizer,
        warmup_steps=round(warmup_epochs * iterations),
        t_total=max(1, max_epochs * iterations),
        warmup_multiplier=0.01,
    )


class ScheduleHandler:
    """Steps a learning-rate schedule: per iteration, or a plateau schedule after every validation.

    Args:
        schedule: a torch schedule; `ReduceLROnPlateau` must be built with ``mode="max"``, because a higher
            selection score is better.
        evaluator: the validation engine.
        selection: its key metric.

    Raises:
        ValueError: a plateau schedule in mode "min".
    """

    def __init__(self, schedule: LRScheduler | ReduceLROnPlateau, evaluator: Engine, selection: SelectionScore) -> None:
        if isinstance(schedule, ReduceLROnPlateau) and schedule.mode != "max":
            raise ValueError("the plateau schedule must have mode 'max' (the selection score rises), found 'min'")
        self.schedule = schedule
        self.evaluator = evaluator
        self.selection = selection

    def attach(self, engine: Engine) -> None:
        """Step after the iterations of `engine`, or after the validations of the evaluator."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.evaluator.add_event_handler(Events.COMPLETED, self._plateau)
        else:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)

    def _iteration(self, _: Any) -> None:
        self.schedule.step()  # type: ignore[call-arg]

    def _plateau(self, evaluator: Any) -> None:
        self.schedule.step(evaluator.state.metrics[evaluator.state.key_metric_name])  # type: ignore[call-arg]


def _evaluate(module: nn.Module, _: Any) -> None:
    module.eval()


class FreezeParts:
    """Freezes weights and normalisation statistics of parts of the network until a given epoch.

    Args:
        network: the network that is trained.
        parts: names of sub-modules, e.g. ``encoder`` or ``encoder.stages.0``.
        thaw_epoch: first epoch in which they learn again, from 1; 0 never thaws.

    Raises:
        ValueError: a part that the network does not have; gives the nearest name.
    """

    def __init__(self, network: nn.Module, parts: Sequence[str] = (), thaw_epoch: int = 0) -> None:
        modules = dict(network.named_modules())
        for part in parts:
            if part not in modules:
                nearest = difflib.get_close_matches(part, modules, n=1, cutoff=0.0)
                raise ValueError(f"freeze: the network has no part '{part}'; did you mean '{nearest[0]}'?")
        self.parts = [modules[part] for part in parts]
        self.names = list(parts)
        self.thaw_epoch = thaw_epoch
        self._hooks: list[Any] = []

    def attach(self, engine: Engine) -> None:
        """Freeze or thaw at the start of each epoch of `engine`."""
        if self.parts:
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Freeze before the thaw epoch, thaw from it on (also if a run is resumed in between)."""
        frozen = self.thaw_epoch == 0 or engine.state.epoch < self.thaw_epoch
        if frozen and not self._hooks:
            self._freeze()
        elif not frozen and self._hooks:
            self._thaw()
            logger.info("epoch %d: %s thawed", engine.state.epoch, ", ".join(self.names))

    def _freeze(self) -> None:
        for part in self.parts:
            part.requires_grad_(False)
            for module in part.modules():
                # as a hook, because the trainer calls network.train() in each iteration
                if isinstance(module, (_BatchNorm, nn.Dropout)):
                    self._hooks.append(module.register_forward_pre_hook(_evaluate))

    def _thaw(self) -> None:
        for part in self.parts:
            part.requires_grad_(True)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
