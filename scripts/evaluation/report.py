"""The handler that turns one evaluation into files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from scripts.evaluation.atomic import check_writable
from scripts.evaluation.checks import as_probabilities
from scripts.evaluation.predictions import write_predictions
from scripts.evaluation.results import LabelledPredictions, write_results

if TYPE_CHECKING:
    from ignite.engine import Engine

    from scripts.networks.raw_logits import RawLogits


@dataclass(frozen=True)
class Prediction:
    """What one iteration says about one case: probabilities [K] and, where known, the rest.

    `uncalibrated` [K] are the probabilities before the division by the network's temperature.
    """

    case: str
    probabilities: np.ndarray
    label: int | None
    patient: str | None
    split: str | None
    uncalibrated: np.ndarray | None


class EvaluationReport:
    """Handler of a MONAI evaluator: collects the predictions of all cases and writes what a reader needs.

    When an evaluation ends it writes into `output_dir`

        predictions.csv         case, [patient], [split], [true], predicted, one probability per class
        metrics.json            the metrics per class and macro, with intervals, seed, versions and machine
        roc.png                 one curve per class against the rest, a single one for two classes
        precision_recall.png    likewise
        confusion_matrix.png    cases, and rates per true class
        reliability.png         how often what is said with a probability is true
        decision_curve.png      whether it is worth following the model

    and prints the table. Where no case has a label it writes predictions.csv only; where some have none, the
    metrics are those of the others. Every file is complete or untouched. Attach it to any number of runs:
    each starts anew.

    It reads `case`, and where there `label`, `patient` and `split`, from the evaluator's batch, and `pred`
    (probabilities: softmax belongs to the postprocessing) from its output. The evaluator must decollate, as
    MONAI's do. Intervals resample patients where the batch has `patient`, cases otherwise. On several
    processes the predictions are gathered, a case that the sampler repeated counts once, and the first
    process writes.

    Args:
        output_dir: folder of the results, made if missing.
        classes: K class names.
        seed: of the run that is evaluated; recorded, and seed of the bootstrap (0 when None).
        name: what is evaluated, e.g. "test"; heads the table and the figures.
        draws: number of bootstrap resamples for the intervals; 0 for none.
        network: the network that the evaluator runs, with a `Calibration`: adds its temperature, what that
            changed, and with two classes its threshold; None: they are not known.
        tensorboard: also show the figures in TensorBoard, by an event file in `output_dir`/tensorboard.
        prediction_key: key of the probabilities in the output.

    Attributes:
        rows: the rows of the last table, None before the first and without labels.
        predictions: the collected predictions of the last run, in the order of the loader.

    Raises:
        ValueError: at the start when output_dir cannot be written; when a case or its probabilities are
            missing, not finite, or do not sum to 1; when there was no case at all.
    """

    def __init__(
        self,
        output_dir: str | Path,
        classes: Sequence[str],
        seed: int | None = None,
        name: str = "test",
        draws: int = 1000,
        network: nn.Module | None = None,
        tensorboard: bool = False,
        prediction_key: str = "pred",
    ) -> None:
        self.output_dir = Path(output_dir)
        self.classes = [str(name) for name in classes]
        self.seed = seed
        self.name = name
        self.draws = draws
        self.network = network
        self.tensorboard = tensorboard
        self.prediction_key = prediction_key
        self.rows: list[dict[str, Any]] | None = None
        self.predictions: list[Prediction] = []
        self.raw_logits: RawLogits | None = None

    def attach(self, engine: Engine) -> None:
        """Register with the engine: reset when a run starts, collect each batch, write when it completes."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        from scripts.networks.raw_logits import RawLogits

        check_writable(self.output_dir)
        self.rows, self.predictions = None, []
        self.raw_logits = None if self.network is None else RawLogits(self.network)

    def _stop(self) -> None:
        if self.raw_logits is not None:
            self.raw_logits.remove()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._stop()
        raise error

    def _collect(self, engine: Engine) -> None:
        batch, output = engine.state.batch, engine.state.output
        if not isinstance(batch, list) or not isinstance(output, list):
            raise ValueError(
                "the evaluation report needs one dictionary per case, found "
                f"{type(batch).__name__} and {type(output).__name__}: give the evaluator decollate=True"
            )
        before: Sequence[np.ndarray | None] = [None] * len(batch)
        if self.raw_logits is not None:
            before = list(self.raw_logits.take().softmax(dim=-1).mean(dim=1).numpy())
        for item, result, uncalibrated in zip(batch, output, before, strict=True):
            self.predictions.append(self._read(item, result, uncalibrated))

    def _read(
        self, item: Mapping[str, Any], result: Mapping[str, Any], uncalibrated: np.ndarray | None
    ) -> Prediction:
        """Take one case from a decollated batch and output."""
        if "case" not in item:
            raise ValueError(
                f"every item must have the key case, found {sorted(item)}: keep it in the preprocessing"
            )
        case = str(item["case"])
        if self.prediction_key not in result:
            raise ValueError(
                f"case {case}: the output must have the key {self.prediction_key}, found {sorted(result)}"
            )
        values = torch.as_tensor(result[self.prediction_key]).detach().float().cpu().numpy()
        as_probabilities(values[None], self.classes, [case])
        label = item.get("label")
        return Prediction(
            case=case,
            probabilities=values,
            label=None if label is None else int(label),
            patient=None if item.get("patient") is None else str(item["patient"]),
            split=None if item.get("split") is None else str(item["split"]),
            uncalibrated=uncalibrated,
        )

    def _finish(self, engine: Engine) -> None:
        self._stop()
        self.predictions = _gather(self.predictions)
        if not self.predictions:
            raise ValueError(f"evaluation {self.name}: there was no case to evaluate, the split is empty")
        if torch.distributed.is_initialized() and torch.distributed.get_rank() != 0:
            return
        found = self.predictions
        write_predictions(
            self.output_dir / "predictions.csv",
            cases=[p.case for p in found],
            probabilities=np.stack([p.probabilities for p in found]),
            classes=self.classes,
            labels=[p.label for p in found] if any(p.label is not None for p in found) else None,
            splits=[p.split or "" for p in found] if any(p.split for p in found) else None,
            patients=[p.patient or p.case for p in found] if any(p.patient for p in found) else None,
        )
        labelled = [p for p in found if p.label is not None]
        if labelled:
            self._write_results(engine, labelled)
        print(f"{self.name}: results of {len(found)} cases in {self.output_dir}", flush=True)

    def _write_results(self, engine: Engine, labelled: Sequence[Prediction]) -> None:
        """Compute, print and write everything that needs labels."""
        before = [p.uncalibrated for p in labelled if p.uncalibrated is not None]
        known = bool(before) and self.network is not None
        calibration: Any = getattr(self.network, "calibration", None)
        found = LabelledPredictions(
            probability=np.stack([p.probabilities for p in labelled]),
            label=np.array([p.label for p in labelled]),
            patients=[p.patient or p.case for p in labelled],
            uncalibrated=np.stack(before) if known else None,
            temperature=float(calibration.temperature) if known else None,
            threshold=float(calibration.threshold) if known and len(self.classes) == 2 else None,
        )
        device = str(getattr(engine.state, "device", None) or "cpu")
        self.rows, figures = write_results(
            self.output_dir, found, self.classes, self.name, self.seed, self.draws, device
        )
        if self.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            with SummaryWriter(str(self.output_dir / "tensorboard")) as writer:
                for tag, figure in figures.items():
                    writer.add_figure(f"{self.name}/{tag}", figure, close=False)


def _gather(predictions: list[Prediction]) -> list[Prediction]:
    """Join the predictions of all processes, each case once; on a single process, return them as they are."""
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return predictions
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, predictions)
    return list({p.case: p for part in parts for p in part}.values())
