# SPDX-License-Identifier: Apache-2.0
"""Where the time of a training goes, part by part, and what the engine adds to a bare loop."""

from __future__ import annotations

import shutil
from collections import defaultdict, deque
from pathlib import Path
from statistics import median
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.engines import IterationEvents

from benchmarks.performance.item import Figure, Figures, Item
from benchmarks.performance.ours import CONFIGS, DEVICE
from benchmarks.performance.phantom import phantom_folder
from benchmarks.performance.timing import now

EPOCHS = 6
VALIDATED = 60
"""Cases; a third of the number of training cases, as in the default phantom."""
PARTS = ("data", "augmentation", "forward", "backward", "optimiser", "handlers", "validation")
"""Parts of an epoch."""
BARE = "bare"
"""The bare loop, which is not part of the epoch."""


class Stopwatch:
    """Assigns elapsed time to one part after the other.

    Attributes:
        spent: seconds by part of the current epoch.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.last = now()

    def lap(self, part: str) -> None:
        """Add the time since the last lap to a part."""
        time = now()
        self.spent[part] += time - self.last
        self.last = time

    def take(self) -> dict[str, float]:
        """Return the seconds of the epoch, and reset."""
        spent, self.spent = dict(self.spent), defaultdict(float)
        return spent


class Instruments:
    """Watches a training: seconds per epoch of each part, and of a bare loop for comparison.

    It watches the real trainer with all its handlers. After each of its steps the same batch takes a bare
    step (augmentation, forward, loss, backward, optimiser), so that both run at the same speed of the machine;
    at the end of the epoch the loader runs once more by itself. The extra steps change the weights, but not
    the times.

    Args:
        workflow: of `configs/train.yaml`.
    """

    def __init__(self, workflow: ConfigWorkflow) -> None:
        def get(key: str) -> Any:
            return workflow.parser.get_parsed_content(key)

        self.trainer, self.evaluator = get("train#trainer"), get("validate#evaluator")
        self.loader, self.prepare = get("train#dataloader"), get("train#prepare_batch")
        self.watch = Stopwatch()
        self.epochs: list[dict[str, float]] = []
        self._augment = self.prepare.augmentation
        self.prepare.augmentation = self._timed_augmentation
        self._listen()

    def _timed_augmentation(self, *arguments: Any) -> Any:
        self.watch.lap("data")  # moving the batch to the device is part of it
        augmented = self._augment(*arguments)
        self.watch.lap("augmentation")
        return augmented

    def _listen(self) -> None:
        """Take a lap at the events that bound the parts; what lies between parts counts for the handlers."""
        trainer, lap = self.trainer, self.watch.lap
        trainer.add_event_handler(Events.GET_BATCH_STARTED, lambda _: lap("handlers"))
        trainer.add_event_handler(Events.GET_BATCH_COMPLETED, lambda _: lap("data"))
        trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, lambda _: lap("forward"))
        trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, lambda _: lap("backward"))
        trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, lambda _: lap("optimiser"))
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)  # the last handler of the step
        self.evaluator.add_event_handler(Events.STARTED, lambda _: lap("handlers"))
        self.evaluator.add_event_handler(Events.COMPLETED, lambda _: lap("validation"))
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)  # the last handler of the epoch

    def _iteration(self, trainer: Any) -> None:
        self.watch.lap("handlers")
        self.prepare.augmentation = self._augment
        self._bare_step(trainer.state.batch)
        self.prepare.augmentation = self._timed_augmentation
        self.watch.lap(BARE)

    def _bare_step(self, batch: Any) -> None:
        trainer = self.trainer
        image, label, _, optional = self.prepare(batch, DEVICE)
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.loss_function(trainer.inferer(image, trainer.network, **optional), label).backward()
        trainer.optimizer.step()

    def _epoch(self, _: Any) -> None:
        self.watch.lap("handlers")
        deque(self.loader, maxlen=0)
        self.watch.lap(BARE)
        self.epochs.append(self.watch.take())


def measure_parts(repeat: int, work: Path) -> Figures:
    """Return the share of each part in the time of an epoch, and the engine's overhead, in percent."""
    output = work / "breakdown"
    shutil.rmtree(output, ignore_errors=True)
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"), workflow_type="train", logging_file=False, run_id="training",
        bundle_root=str(CONFIGS.parent), dataset_dir=str(phantom_folder(work)), output_dir=str(output),
        max_epochs=EPOCHS, seed=repeat,
        **{"validate#dataset#data": f"$@cases.validation[:{VALIDATED}]"},
    )  # fmt: skip
    workflow.initialize()
    instruments = Instruments(workflow)
    instruments.trainer.run()
    shutil.rmtree(output, ignore_errors=True)
    kept = instruments.epochs[1:]  # the first epoch includes set-up and the first batch
    total = [sum(parts[name] for name in PARTS) for parts in kept]
    step = [sum(parts[name] for name in PARTS[1:5]) for parts in kept]
    figures = {
        name: median(100 * parts[name] / whole for parts, whole in zip(kept, total, strict=True)) for name in PARTS
    }
    return figures | {
        "epoch_s": median(total),
        "overhead": median(
            100 * ((whole - parts["validation"]) / parts[BARE] - 1) for parts, whole in zip(kept, total, strict=True)
        ),
        "augmentation_of_step": median(
            100 * parts["augmentation"] / whole for parts, whole in zip(kept, step, strict=True)
        ),
    }


BREAKDOWN = Item(
    "breakdown",
    (
        *(Figure(name, f"{name}, share of an epoch", "%") for name in PARTS),
        Figure("epoch_s", "an epoch", "s", 2),
        Figure("overhead", "engine and handlers beyond the bare loop", "%", most=5.0),
        Figure("augmentation_of_step", "augmentation, share of a step", "%", most=15.0),
    ),
    measure_parts,
)
