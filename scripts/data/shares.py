"""Which cases of a dataset belong to which of several processes: every case to one, and to one only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from torch.utils.data import Sampler

from scripts.processes import process_count, process_number

from .batches import EpochBatchSampler

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
        batches: the whole batches, the same on every process.
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

    Args:
        length: number of cases.
        number: of this process, from 0; None asks `torch.distributed`.
        processes: how many there are; None asks `torch.distributed`.

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
