"""Which cases make up which batch: an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from torch.utils.data import Sampler

from scripts.files.processes import process_count, process_number


class EpochBatchSampler(Sampler[list[int]]):
    """Batches of indices whose order in epoch e depends on (seed, e) only: resuming needs no saved state.

    A last batch of one case is merged into the one before it: normalisation takes two.

    Call `set_epoch` before each epoch (MONAI's Workflow does so for DistributedSampler only).

    Args:
        batch_size: cases per batch; the last batch may have fewer, or one more.
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


T = TypeVar("T")


def own_share(values: Sequence[T], number: int, processes: int) -> Sequence[T]:
    """Return the part of process `number` of `processes`: as many as the others have, or one more.

    The parts put together in the order of the processes are `values` again.

    >>> [own_share([1, 2, 3, 4, 5], number, 3) for number in range(3)]
    [[1, 2], [3, 4], [5]]
    """
    least, more = divmod(len(values), processes)
    start = number * least + min(number, more)
    return values[start : start + least + (number < more)]


class BatchShares(Sampler[list[int]]):
    """The share of this process of each batch: all processes together see the batches of a single one.

    A process whose share is empty, since the last batch has fewer cases than there are processes, takes the
    first case of the batch, so that every process takes every step. `counted` says which cases count.

    Args:
        number: of this process, from 0; None asks `torch.distributed`.
        processes: how many there are; None asks `torch.distributed`.

    Attributes:
        counted: for each batch since the last start, (cases of this process that count, cases of all).

    Raises:
        ValueError: a batch has fewer cases than there are processes.

    >>> shares = BatchShares(EpochBatchSampler(5, batch_size=3, seed=0, shuffle=False), number=1, processes=2)
    >>> list(shares), shares.counted
    ([[2], [4]], [(1, 3), (1, 2)])
    """

    def __init__(
        self, batches: EpochBatchSampler, number: int | None = None, processes: int | None = None
    ) -> None:
        self.batches = batches
        self.number = process_number() if number is None else number
        self.processes = process_count() if processes is None else processes
        self.counted: list[tuple[int, int]] = []
        if batches.batch_size < self.processes:
            raise ValueError(
                f"batch_size is the number of cases per step of all processes together and must be at least "
                f"their number, {self.processes}, found {batches.batch_size}; raise batch_size or start fewer"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass over the data."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        self.counted = []
        for batch in self.batches:
            share = list(own_share(batch, self.number, self.processes))
            self.counted.append((len(share), len(batch)))
            yield share or batch[:1]


class CaseShare(Sampler[int]):
    """The share of this process of the cases of a split, in their order; none is repeated.

    Raises:
        ValueError: there are fewer cases than processes.

    >>> list(CaseShare(5, number=1, processes=2))
    [3, 4]
    """

    def __init__(self, length: int, number: int | None = None, processes: int | None = None) -> None:
        self.number = process_number() if number is None else number
        self.processes = process_count() if processes is None else processes
        self.length = length
        if length < self.processes > 1:
            raise ValueError(
                f"a split must have a case for each of the {self.processes} processes, found {length}; start "
                "fewer processes"
            )

    def _indices(self) -> Sequence[int]:
        return own_share(range(self.length), self.number, self.processes)

    def __len__(self) -> int:
        return len(self._indices())

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices())
