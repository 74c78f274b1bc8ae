"""Learning-rate schedules: warm-up with cosine decay, or reduction on a plateau."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.optimizers import WarmupCosineSchedule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import DataLoader

from .selection import SelectionScore


def warmup_cosine(
    optimizer: Optimizer, dataloader: DataLoader, max_epochs: int, warmup_epochs: float = 0
) -> WarmupCosineSchedule:
    """Linear warm-up to the optimiser's learning rate, then a half cosine down to zero, per iteration.

    Args:
        optimizer: its learning rates are the peak values.
        dataloader: the training loader; its length is the number of iterations per epoch.
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
        schedule: a torch schedule; `ReduceLROnPlateau` must be built with ``mode="max"``, because the
            selection score is higher for better.
        evaluator: the validation engine.
        selection: its key metric.

    Raises:
        ValueError: for a plateau schedule in mode "min".
    """

    def __init__(
        self, schedule: LRScheduler | ReduceLROnPlateau, evaluator: Engine, selection: SelectionScore
    ) -> None:
        if isinstance(schedule, ReduceLROnPlateau) and schedule.mode != "max":
            raise ValueError(
                "the plateau schedule must have mode 'max' (the selection score rises), found 'min'"
            )
        self.schedule = schedule
        self.evaluator = evaluator
        self.selection = selection

    def attach(self, engine: Engine) -> None:
        """Step with the iterations of `engine`, or with the validations of the evaluator."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.evaluator.add_event_handler(Events.COMPLETED, self._plateau)
        else:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)

    def _iteration(self, _: Any) -> None:
        self.schedule.step()  # type: ignore[call-arg]

    def _plateau(self, evaluator: Any) -> None:
        self.schedule.step(evaluator.state.metrics[evaluator.state.key_metric_name])  # type: ignore[call-arg]
