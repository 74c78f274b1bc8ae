"""One seed, one result: the random state of an epoch depends only on (seed, epoch)."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import set_determinism

from scripts.processes import process_number


def epoch_seed(seed: int, epoch: int, number: int = 0) -> int:
    """Return the 32-bit seed of one epoch, mixed so that neighbouring seeds share no epoch.

    Args:
        seed: the experiment's seed.
        epoch: from 1.
        number: of the process, from 0; each draws for other cases.

    Example:
        >>> epoch_seed(0, 1) == epoch_seed(0, 1), epoch_seed(0, 1) == epoch_seed(1, 0)
        (True, False)
    """
    entropy = [seed, epoch, number] if number else [seed, epoch]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


class EpochSeed:
    """Reseeds at the start of every epoch, so that a resumed run needs no saved generator.

    Args:
        seed: the experiment's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Reseed at each epoch's start; the loader's batch sampler is told the epoch too."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Seed all generators and the order of cases for the epoch that begins."""
        set_determinism(epoch_seed(self.seed, engine.state.epoch, process_number()))
        sampler = getattr(engine.data_loader, "batch_sampler", None)
        if sampler is not None and hasattr(sampler, "set_epoch"):
            sampler.set_epoch(engine.state.epoch)
