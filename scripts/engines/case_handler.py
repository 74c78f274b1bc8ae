# SPDX-License-Identifier: Apache-2.0
"""Base class of the handlers that write something about every case of an evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scripts.files.atomic import check_writable
from scripts.files.processes import all_processes, is_first_process, process_count
from scripts.metrics.predictions import as_probabilities

if TYPE_CHECKING:
    from ignite.engine import Engine

Case = Mapping[str, Any]


@dataclass(frozen=True)
class Prediction:
    """Prediction of one case: probabilities [K] and, where known, label, patient, split and clinical values."""

    case: str
    probabilities: np.ndarray
    label: int | None
    patient: str | None
    split: str | None
    clinical: tuple[float, ...] = ()
    """Value in each column of the clinical table, for a category its index; NaN where it is missing."""

    @property
    def predicted(self) -> int:
        """Index of the class with the highest probability, the first in case of a tie."""
        return int(self.probabilities.argmax())


class CaseHandler(ABC):
    """Handler of a MONAI evaluator that collects the predictions of all cases, and notes on them.

    It reads `case` and, if present, `label`, `patient`, `split` and `clinical` from the evaluator's batch, and
    `pred` (probabilities: softmax belongs to the postprocessing) from its output. The evaluator must decollate, as
    MONAI's do. With several processes everything is gathered, a case that the sampler repeated counts once, and
    the first process writes. It can be attached to any number of runs; each starts anew.

    Args:
        output_dir: folder of the results, made if missing.
        classes: K class names.
        name: what is evaluated, e.g. "test"; heads the figures.
        prediction_key: key of the probabilities in the output.

    Attributes:
        predictions: predictions of the last run, in the order of the loader.
        notes: notes of a subclass, by case.
        items: the loader's cases as dataset.json has them, by name; {} where it knows none.

    Raises:
        ValueError: output_dir cannot be written (at the start); a case or its probabilities are missing, not
            finite, or do not sum to 1; there was no case at all.
    """

    def __init__(
        self, output_dir: str | Path, classes: Sequence[str], name: str = "test", prediction_key: str = "pred"
    ) -> None:
        self.output_dir = Path(output_dir)
        self.classes = [str(name) for name in classes]
        self.name = name
        self.prediction_key = prediction_key
        self.predictions: list[Any] = []
        self.notes: dict[str, Any] = {}
        self.items: dict[str, Case] = {}

    def attach(self, engine: Engine) -> None:
        """Register with the engine: reset when a run starts, collect each batch, write when it completes."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def start(self) -> None:
        """Prepare for a run, e.g. register hooks."""
        return

    def stop(self) -> None:
        """Undo what `start` did."""
        return

    def note(self, batch: Sequence[Case], predictions: Sequence[Any]) -> None:
        """Write into `notes` what is wanted of the cases of one batch, beside their predictions."""
        return

    @abstractmethod
    def write(self, device: str) -> None:
        """Write the files, from all predictions and notes; `device` is where the network ran."""

    def _start(self, engine: Engine) -> None:
        check_writable(self.output_dir, keep=process_count() > 1)
        self.predictions, self.notes = [], {}
        listed = getattr(getattr(engine.state.dataloader, "dataset", None), "data", None) or ()
        self.items = {str(one["case"]): one for one in listed if isinstance(one, Mapping) and "case" in one}
        self.stop()
        self.start()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self.stop()
        raise error

    def _collect(self, engine: Engine) -> None:
        batch, output = engine.state.batch, engine.state.output
        if not isinstance(batch, list) or not isinstance(output, list):
            raise ValueError(
                f"{type(self).__name__} needs one dictionary per case, found {type(batch).__name__} and "
                f"{type(output).__name__}: give the evaluator decollate=True"
            )
        found = [self.read(item, result) for item, result in zip(batch, output, strict=True)]
        self.predictions += found
        self.note(batch, found)

    def read(self, item: Case, result: Mapping[str, Any]) -> Any:
        """Take one case from a decollated batch and output: a `Prediction`, or what else a sub-class keeps of it."""
        if "case" not in item:
            raise ValueError(f"every item must have the key case, found {sorted(item)}: keep it in the preprocessing")
        case = str(item["case"])
        if self.prediction_key not in result:
            raise ValueError(f"case {case}: the output must have the key {self.prediction_key}, found {sorted(result)}")
        values = torch.as_tensor(result[self.prediction_key]).detach().float().cpu().numpy()
        as_probabilities(values[None], self.classes, [case])
        label = item.get("label")
        table = torch.as_tensor(item.get("clinical", ()), dtype=torch.float32)
        return Prediction(
            case=case,
            probabilities=values,
            label=None if label is None else int(label),
            patient=None if item.get("patient") is None else str(item["patient"]),
            split=None if item.get("split") is None else str(item["split"]),
            clinical=tuple(table.tolist()),
        )

    def _finish(self, engine: Engine) -> None:
        self.stop()
        parts = all_processes((self.predictions, self.notes))
        if len(parts) > 1:  # a case that the sampler repeated counts once
            self.predictions = list({p.case: p for found, _ in parts for p in found}.values())
            self.notes = {case: note for _, notes in parts for case, note in notes.items()}
        if not self.predictions:
            raise ValueError(f"evaluation {self.name}: there was no case to evaluate, the split is empty")
        if is_first_process():
            self.write(str(getattr(engine.state, "device", None) or "cpu"))
