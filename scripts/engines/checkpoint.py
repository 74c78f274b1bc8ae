# SPDX-License-Identifier: Apache-2.0
"""Saves the best weights, and the state from which an interrupted training resumes."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from scripts.engines.curves import Step, pending_steps
from scripts.engines.network import load_tensors, with_calibration
from scripts.engines.selection import SelectionScore
from scripts.files import errors
from scripts.files.atomic import write_tensors
from scripts.files.processes import is_first_process, process_count, process_number, wait_for_all
from scripts.metrics.prediction_sets import FILE
from torch import nn
from torch.optim import Optimizer

logger = logging.getLogger(__name__)

# Keys that may change between a training and its continuation.
FREE_ON_RESUME = frozenset(
    [
        "resume",
        "max_epochs",
        "patience",
        "calibrate",
        "calibration",
        "name",
        "bundle_root",
        "dataset_dir",
        "output_dir",
        "model_file",
        "cache",
        "cache_dir",
        "device",
        "threads",
        "imports",
        "initialize",
        "run",
        "training",
    ]
)


PARTS = {"network", "optimizer", "schedule", "selection", "epoch", "iteration", "history", "config"}
"""Entries of every ``last.pt``; newer ones also hold ``steps``, the iterations since the last validation."""


def training_only(trainer: Any) -> dict[str, nn.Module]:
    """Return what a trainer trains beside the network that is kept (see `WithMasks`), by its name in ``last.pt``."""
    part = getattr(getattr(trainer, "network", None), "training_only", None)
    return {} if part is None else {"training_only": part}


def differing_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the top-level keys in which two configurations differ, except those in `FREE_ON_RESUME`."""
    before, now = _fixed(before), _fixed(now)
    keys = set(before) | set(now)
    return sorted(
        key
        for key in keys
        if json.dumps(before.get(key), default=str, sort_keys=True)
        != json.dumps(now.get(key), default=str, sort_keys=True)
    )


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in FREE_ON_RESUME}


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the flat state dict of a network, as a whole or not at all; evidence of other weights is removed."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_tensors(path, state)
    path.with_name(FILE).unlink(missing_ok=True)


def own_steps(steps: Sequence[Sequence[Step]]) -> list[Step]:
    """Return the iterations that this process resumes with: its own if there are as many processes as before."""
    if len(steps) == process_count():
        return list(steps[process_number()])
    return [step for part in steps for step in part] if is_first_process() else []


class Checkpoints:
    """Writes ``models/model.pt`` at each new best validation and ``models/last.pt`` after each epoch.

    ``model.pt`` is a flat state dict, as `monai.bundle.load` reads it. ``last.pt`` holds the network, the
    optimiser, the schedule, the selection score, the learning curves, the epoch and the configuration; with
    `resume` the trainer continues after that epoch as if it had never stopped. With several processes, the first
    writes and all read.

    Args:
        network: the trained network.
        optimizer: its optimiser.
        schedule: its learning-rate schedule.
        evaluator: the validation engine.
        selection: its key metric.
        history: the learning curves, a list of rows to which the handlers append.
        output_dir: results folder.
        config: the configuration that is run.
        resume: continue from ``last.pt`` where there is one.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        schedule: Any,
        evaluator: Engine,
        selection: SelectionScore,
        history: list[dict[str, float]],
        output_dir: str | Path,
        config: dict[str, Any],
        resume: bool = False,
    ) -> None:
        self.parts = {"network": network, "optimizer": optimizer, "schedule": schedule, "selection": selection}
        self.network = network
        self.evaluator = evaluator
        self.selection = selection
        self.history = history
        self.best_file = Path(output_dir) / "models" / "model.pt"
        self.last_file = Path(output_dir) / "models" / "last.pt"
        self.config = config
        self.resume = resume
        self.saved_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Restore at the start; save the best weights after validations and the state after epochs."""
        engine.add_event_handler(Events.STARTED, self._restore)
        errors.on_interrupt(self._interrupted)
        self.evaluator.add_event_handler(Events.COMPLETED, self._save_best)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save_last)

    def _interrupted(self) -> str:
        if not self.saved_epoch:
            return "stopped before the first epoch was finished; --resume true begins it again"
        return f"stopped after epoch {self.saved_epoch}; --resume true goes on"

    def _save_best(self, _: Engine) -> None:
        if self.selection.improved and is_first_process():
            save_weights(self.network, self.best_file)
        wait_for_all()

    def _save_last(self, trainer: Engine) -> None:
        steps = pending_steps(trainer)
        if not is_first_process():
            return
        state = {name: part.state_dict() for name, part in (self.parts | training_only(trainer)).items()}
        state |= {
            "epoch": trainer.state.epoch,
            "iteration": trainer.state.iteration,
            "history": list(self.history),
            "steps": steps,
            "config": json.loads(json.dumps(_fixed(self.config), default=str)),
        }
        write_tensors(self.last_file, state)
        self.saved_epoch = trainer.state.epoch

    def _restore(self, trainer: Engine) -> None:
        if not self.resume:
            return
        if not self.last_file.is_file():
            logger.info("nothing to resume in %s: training starts from the first epoch", self.last_file.parent)
            return
        state = load_tensors(self.last_file)
        if not isinstance(state, dict) or PARTS - state.keys():
            raise ValueError(
                f"{self.last_file} must hold a training to go on with, found none; give another --name to train anew"
            )
        differing = differing_keys(state["config"], self.config)
        if differing:
            raise ValueError(
                f"cannot resume {self.last_file}: it was trained with other values of {', '.join(differing)}"
                "; give the same values, or another --name to train anew"
            )
        state["network"] = with_calibration(self.network, state["network"], self.last_file)
        for name, part in (self.parts | training_only(trainer)).items():
            part.load_state_dict(state[name])
        self.history[:] = state["history"]
        trainer.state.steps = own_steps(state.get("steps", []))  # type: ignore[attr-defined]
        trainer.state.epoch, trainer.state.iteration = state["epoch"], state["iteration"]
        self.saved_epoch = state["epoch"]
        logger.info("resumed after epoch %d from %s", state["epoch"], self.last_file)
