# SPDX-License-Identifier: Apache-2.0
"""Progress bars, and learning curves: recorded as rows, shown in TensorBoard, drawn when training ends."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ignite.engine import Engine, Events
from scripts import from_workbench, metrics  # whose modules are imported on first use
from scripts.engines.evaluation import no_host
from scripts.files.atomic import write_table
from scripts.files.processes import all_processes, is_first_process
from scripts.networks.parts import by_channel
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

if TYPE_CHECKING:
    from scripts.engines.selection import SelectionScore


def progress_bar(total: int, description: str, initial: int = 0) -> tqdm:
    """Return a progress bar that does not flood a log file if the output is not a terminal."""
    calm = 0.3 if sys.stderr.isatty() else 15.0
    return tqdm(total=total, initial=initial, desc=description, mininterval=calm, maxinterval=60.0, leave=True)


SCORES = ("auc", "accuracy", "dice")
"""Of a validation, beside its loss."""


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
            # read only when it is shown: reading waits for the GPU
            loss = f"{float(state.output['loss'].detach()):.3f}"
            epoch = f"{state.epoch}/{state.max_epochs}"
            self.bar.set_postfix({"epoch": epoch, "loss": loss, **self.scores}, refresh=False)
        self.bar.update()

    def _validated(self, evaluator: Any) -> None:
        metrics = evaluator.state.metrics
        self.scores = {f"val {name}": f"{metrics[name]:.3f}" for name in SCORES if name in metrics}

    def _close(self, _: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _fail(self, engine: Any, error: BaseException) -> None:
        self._close(engine)
        raise error


Step = dict[str, Tensor]
"""Outputs of one iteration: loss and, if the trainer provides them, pred [B, K] and label [B]."""


def pending_steps(trainer: Any) -> list[list[Step]]:
    """Return the iterations since the last validation, one list per process, on the CPU."""
    steps = getattr(trainer.state, "steps", [])
    return all_processes([{name: _plain(value) for name, value in step.items()} for step in steps])


def _plain(value: Tensor) -> Tensor:
    plain = value.as_subclass(Tensor)
    return (plain.float() if plain.is_floating_point() else plain).cpu()


def _training_scores(steps: Sequence[Step]) -> dict[str, float]:
    """Return accuracy and AUC of the training cases since the last validation, NaN if undefined."""
    found = [(step["pred"].numpy(), step["label"].numpy()) for step in steps if {"pred", "label"} <= step.keys()]
    scores = {"train_auc": math.nan, "train_accuracy": math.nan}
    if not found:
        return scores
    probabilities, labels = (np.concatenate(part) for part in zip(*found, strict=True))
    labels = labels.astype(np.int64)
    if not np.isfinite(probabilities).all():
        return scores
    scores["train_accuracy"] = metrics.calibration.selection_value(probabilities, labels, "accuracy")
    if len(np.unique(labels)) > 1:
        scores["train_auc"] = metrics.calibration.selection_value(probabilities, labels, "auc")
    return scores


class LearningCurves:
    """Records one row per validation, and writes TensorBoard events and ``learning_curves.png``/``.csv``.

    A row holds ``epoch``, ``train_loss``, ``train_auc`` and ``train_accuracy`` (over the augmented cases since
    the last validation, each as predicted in its training step), ``learning_rate``, the validation scores
    ``validation_auc``, ``validation_accuracy``, ``validation_loss``, the smoothed ``selection`` score, and
    ``best`` (1 if it was the highest so far). Rows of older checkpoints lack the training scores. With several
    processes, all keep the rows and the first writes.

    The iterations since the last validation are kept in the trainer's ``state.steps``, which `Checkpoints` saves
    and restores, since an epoch may end between two validations.

    Args:
        history: list that receives the rows; a resumed run restores it.
        evaluator: the validation engine.
        selection: its key metric.
        optimizer: source of the learning rate.
        output_dir: results folder; events go to ``tensorboard/``.
        phases: names of the phases, for the montage of the first batch.
        classes: names of the classes.
        spacing: mm per voxel, for the montage.
    """

    def __init__(
        self,
        history: list[dict[str, float]],
        evaluator: Engine,
        selection: SelectionScore,
        optimizer: Optimizer,
        output_dir: str | Path,
        phases: list[str],
        classes: list[str],
        spacing: list[float],
    ) -> None:
        self.history = history
        self.evaluator = evaluator
        self.selection = selection
        self.optimizer = optimizer
        self.output_dir = Path(output_dir)
        self.phases = phases
        self.classes = classes
        self.spacing = spacing
        self.writer: Any = None

    def attach(self, engine: Engine) -> None:
        """Follow the iterations of `engine` and the validations of the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        self.evaluator.add_event_handler(Events.COMPLETED, self._record, engine)
        if is_first_process():
            engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._montage)
            self.evaluator.add_event_handler(Events.COMPLETED, self._scalars, engine)
            engine.add_event_handler(Events.COMPLETED, self._draw)

    def _show(self) -> Any:
        """Return TensorBoard's writer, opened on first use, so that a refused run writes no file."""
        from torch.utils.tensorboard import SummaryWriter

        if self.writer is None:
            with no_host():
                self.writer = SummaryWriter(str(self.output_dir / "tensorboard"))
        return self.writer

    @staticmethod
    def _begin(engine: Any) -> None:
        if not hasattr(engine.state, "steps"):
            engine.state.steps = []

    def _collect(self, engine: Any) -> None:
        output = engine.state.output
        names = ("loss", "pred", "label") if _classified(output) else ("loss",)
        step = {name: output[name].detach() for name in names}
        engine.state.steps.append(step)  # read later: a GPU need not be waited for

    def _montage(self, engine: Any) -> None:
        montage = from_workbench("report.training_figures")
        if montage is None:
            return
        seen = getattr(engine.prepare_batch, "seen", None)
        figure = montage.montage_figure(
            engine.state.output["image"],
            by_channel(engine.state.batch["present"], len(self.phases)),
            cases=list(engine.state.batch["case"]),
            phases=self.phases,
            classes=self.classes,
            labels=engine.state.output["label"] if _classified(engine.state.output) else None,
            spacing=self.spacing,
            orientation=None,  # unknown after random flips
            path=self.output_dir / "first_batch.png",
            seen=None if seen is None else by_channel(seen, len(self.phases)),
        )
        self._show().add_figure("first_batch", figure, close=False)

    def _record(self, evaluator: Any, trainer: Any) -> None:
        metrics = evaluator.state.metrics
        steps = [step for part in pending_steps(trainer) for step in part]
        losses = [float(step["loss"]) for step in steps]
        row = {
            "epoch": trainer.state.iteration / trainer.state.epoch_length,
            "train_loss": sum(losses) / max(1, len(losses)),
            **_training_scores(steps),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **_validation_scores(metrics),
            "selection": metrics[evaluator.state.key_metric_name],
            "best": float(self.selection.improved),
        }
        trainer.state.steps = []
        self.history.append(row)

    def _scalars(self, _: Any, trainer: Any) -> None:
        for name, value in self.history[-1].items():
            if name not in ("epoch", "best") and math.isfinite(value):
                self._show().add_scalar(name, value, trainer.state.iteration)

    def _draw(self, _: Any) -> None:
        if self.history:
            names = list(dict.fromkeys(name for row in self.history for name in row))
            rows = ([_cell(row.get(name)) for name in names] for row in self.history)
            write_table(self.output_dir / "learning_curves.csv", names, rows)
            if curves := from_workbench("report.training_figures"):
                figure = curves.curves_figure(
                    self.history,
                    chosen_epoch=max(row["epoch"] for row in self.history if row["best"]),
                    path=self.output_dir / "learning_curves.png",
                )
                self._show().add_figure("learning_curves", figure, close=False)
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def _classified(output: Mapping[str, Any]) -> bool:
    """Return whether an iteration predicted a class per case, and not an outline."""
    return isinstance(output.get("pred"), Tensor) and output["label"].dim() == 1


def _validation_scores(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of a validation under the names of the learning curves; of a loss its size."""
    found = {f"validation_{name}": metrics[name] for name in SCORES if name in metrics}
    return found | ({"validation_loss": -metrics["loss"]} if "loss" in metrics else {})


def _cell(value: Any) -> Any:
    """Return the value of a table cell, None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value
