# SPDX-License-Identifier: Apache-2.0
"""A handler that records how long each epoch of a training took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from scripts.files.atomic import write_text
from scripts.files.processes import is_first_process

from benchmarks.performance.timing import now


class EpochTimes:
    """Writes the seconds of each epoch, its validation included, as a JSON list when training ends.

    Args:
        file: receives the list.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)
        self.started = 0.0
        self.seconds: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Follow the epochs of `engine`."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, _: Any) -> None:
        self.started = now()

    def _end(self, _: Any) -> None:
        self.seconds.append(now() - self.started)

    def _write(self, _: Any) -> None:
        if is_first_process():
            write_text(self.file, json.dumps(self.seconds))
