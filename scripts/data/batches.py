"""Which cases make up which batch: an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochBatchSampler(Sampler[list[int]]):
    """Batches of indices whose order in epoch e depends on (seed, e) only: resuming needs no saved state.

    A last batch of one case is merged into the one before it: normalisation over a batch of one has no
        statistics.

    Call `set_epoch` before each epoch (MONAI's Workflow does so for DistributedSampler only).

    Args:
        length: number of cases.
        batch_size: cases per batch; the last batch may have fewer, or one more.
        seed: any whole number from 0.
        shuffle: False keeps the cases in order in every epoch.

    Raises:
        ValueError: no cases, a batch size below 1, or a negative seed.

    >>> sampler = EpochBatchSampler(length=5, batch_size=2, seed=0, shuffle=False)
    >>> list(sampler), len(sampler)
    ([[0, 1], [2, 3, 4]], 2)
    """

    def __init__(self, length: int, batch_size: int, seed: int, shuffle: bool = True) -> None:
        for name, value, least in (("length", length, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, found {value!r}")
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass over the data."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        full, rest = divmod(self.length, self.batch_size)
        return full + (rest > 1 or (rest == 1 and full == 0))

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self.length))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist()
        for number in range(len(self)):
            last = number == len(self) - 1
            yield order[number * self.batch_size : None if last else (number + 1) * self.batch_size]
