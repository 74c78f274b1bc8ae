"""Ends the training when validation no longer improves."""

from __future__ import annotations

import logging
from typing import Any

from ignite.engine import Engine, Events

from .selection import SelectionScore

logger = logging.getLogger(__name__)


class EarlyStop:
    """Stops the trainer after `patience` validations without a new best selection score.

    Args:
        evaluator: the validation engine.
        selection: its key metric.
        patience: number of validations; 0 never stops early.
    """

    def __init__(self, evaluator: Engine, selection: SelectionScore, patience: int) -> None:
        self.evaluator = evaluator
        self.selection = selection
        self.patience = patience

    def attach(self, engine: Engine) -> None:
        """Look at the score after every validation of `engine`."""
        if self.patience > 0:
            self.evaluator.add_event_handler(Events.COMPLETED, self._check, engine)

    def _check(self, _: Any, trainer: Engine) -> None:
        if self.selection.since_best >= self.patience:
            logger.info(
                "early stop at epoch %d: no better validation score in the last %d validations (best %.4f)",
                trainer.state.epoch,
                self.patience,
                self.selection.best,
            )
            trainer.terminate()
