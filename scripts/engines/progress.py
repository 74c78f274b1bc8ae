# SPDX-License-Identifier: Apache-2.0
"""Progress bars for training and evaluation, with the time left."""

from __future__ import annotations

import sys
import time
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm


def progress_bar(total: int, description: str, initial: int = 0) -> tqdm:
    """Return a progress bar that does not flood a log file when the output is not a terminal."""
    calm = 0.3 if sys.stderr.isatty() else 15.0
    return tqdm(total=total, initial=initial, desc=description, mininterval=calm, maxinterval=60.0, leave=True)


class Progress:
    """Shows the iterations of an engine as one bar, with the loss and the last validation.

    Args:
        description: title of the bar.
        evaluator: validation engine whose scores are shown; None for an evaluation.
    """

    def __init__(self, description: str, evaluator: Engine | None = None) -> None:
        self.description = description
        self.evaluator = evaluator
        self.bar: tqdm | None = None
        self.scores: dict[str, str] = {}

    def attach(self, engine: Engine) -> None:
        """Follow the iterations of `engine`."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self._validated)

    def _step(self, engine: Any) -> None:
        state = engine.state
        if self.bar is None:  # made here, because a resumed run knows its iteration only after the start
            steps = state.epoch_length or getattr(state.dataloader, "batches", 0)
            self.bar = progress_bar(state.max_epochs * steps, self.description, initial=state.iteration - 1)
        due = time.time() - self.bar.last_print_t >= self.bar.mininterval
        if self.evaluator is not None and (due or state.iteration % state.epoch_length == 0):
            # read only to be shown: a GPU has to be waited for
            loss = f"{float(state.output['loss'].detach()):.3f}"
            epoch = f"{state.epoch}/{state.max_epochs}"
            self.bar.set_postfix({"epoch": epoch, "loss": loss, **self.scores}, refresh=False)
        self.bar.update()

    def _validated(self, evaluator: Any) -> None:
        names = ("auc", "accuracy")
        metrics = evaluator.state.metrics
        self.scores = {f"val {name}": f"{metrics[name]:.3f}" for name in names if name in metrics}

    def _close(self, _: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _fail(self, engine: Any, error: BaseException) -> None:
        self._close(engine)
        raise error
