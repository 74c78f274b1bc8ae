# SPDX-License-Identifier: Apache-2.0
"""Batches of cases, determined by seed and epoch alone; and batches of only the cases that can be read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from monai.data import DataLoader, Dataset, list_data_collate
from scripts.cases.cache import NoCache
from scripts.files.atomic import write_table
from scripts.files.processes import BadCases, lines_of, process_count, process_number
from torch.utils.data import Sampler


class EpochBatchSampler(Sampler[list[int]]):
    """Batches of indices whose order in epoch e depends only on (seed, e), so resuming needs no saved state.

    A last batch of a single case is merged into the one before it, since batch normalisation needs two.

    Call `set_epoch` before each epoch (MONAI's Workflow does so only for DistributedSampler).

    Args:
        batch_size: cases per batch; the last batch may have fewer, or one more.
        shuffle: if False, the cases keep their order in every epoch.

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
    """Return the share of process `number` of `processes`; shares differ in size by at most one.

    Joined in the order of the processes, the shares give `values` again.

    >>> [own_share([1, 2, 3, 4, 5], number, 3) for number in range(3)]
    [[1, 2], [3, 4], [5]]
    """
    least, more = divmod(len(values), processes)
    start = number * least + min(number, more)
    return values[start : start + least + (number < more)]


class BatchShares(Sampler[list[int]]):
    """This process's share of each batch: all processes together see the batches of a single one.

    If the last batch has fewer cases than there are processes, a process without a case takes the first case of
    the batch, so that every process takes every step; `counted` says how many cases really count.

    Args:
        number: rank of this process, from 0; None asks `torch.distributed`.
        processes: number of processes; None asks `torch.distributed`.

    Attributes:
        counted: (cases of this process that count, cases of all processes) of each batch since the last start.

    Raises:
        ValueError: a batch has fewer cases than there are processes.

    >>> shares = BatchShares(EpochBatchSampler(5, batch_size=3, seed=0, shuffle=False), number=1, processes=2)
    >>> list(shares), shares.counted
    ([[2], [4]], [(1, 3), (1, 2)])
    """

    def __init__(self, batches: EpochBatchSampler, number: int | None = None, processes: int | None = None) -> None:
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
    """This process's share of the cases of a split, in their order; no case is repeated.

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


FILE = "not_predicted.csv"


@dataclass(frozen=True)
class Bad:
    """A case that cannot be read, and the lines that say why."""

    case: str
    lines: list[str]


class Tried(Dataset):
    """A dataset in which each case of another one that cannot be read is replaced by a `Bad`."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.data)
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        try:
            return self.dataset[index]
        except (ValueError, OSError) as error:
            return Bad(str(self.data[index].get("case", index)), lines_of(error))


class ReadableLoader(DataLoader):
    """Batches of the cases that can be read, in their order; those that cannot are left out of their batch.

    It has no length, since how many cases can be read is only known once all have been tried.

    Attributes:
        bad: case -> lines that say why it could not be read in the last pass.
        batches: largest possible number of batches.

    Raises:
        BadCases: at the end of a pass, if no case could be read.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 1, num_workers: int = 0) -> None:
        super().__init__(Tried(dataset), batch_size=batch_size, num_workers=num_workers, collate_fn=without_bad)
        self.total = len(dataset)
        self.cut = None
        if isinstance(dataset, NoCache) and num_workers == 0:  # worker processes report their own cases
            self.cut, dataset.tell_at_once = dataset.cut, False
        self.batches = math.ceil(self.total / batch_size)
        self.bad: dict[str, list[str]] = {}

    def __len__(self) -> int:
        raise TypeError("the number of cases that can be read is not known")

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.bad = {}
        some = False
        for batch, bad in super().__iter__():
            self.bad |= {one.case: one.lines for one in bad}
            if batch is not None:
                some = True
                yield batch
        if self.bad and not some:
            raise self.error()
        if self.cut is not None:
            self.cut.tell(self.total)  # once for all cases

    def error(self) -> BadCases:
        """Return the error that lists the bad cases of the last pass."""
        lines = [line for found in self.bad.values() for line in found]
        return BadCases(lines, self.total, bad=len(self.bad))


def without_bad(items: Sequence[Any]) -> tuple[Any, list[Bad]]:
    """Return the batch of the good items, None where there is none, and the bad ones.

    Opened masks are in no batch; configurations of before do not know that they are to be left out.
    """
    good = [{key: item[key] for key in item if key != "masks"} for item in items if not isinstance(item, Bad)]
    return list_data_collate(good) if good else None, [item for item in items if isinstance(item, Bad)]


def name_bad(loader: ReadableLoader, output_dir: str | Path) -> None:
    """Write not_predicted.csv if cases could not be read, and raise an error that lists them.

    Args:
        output_dir: receives the file; an old file is removed if every case could be read.
    """
    file = Path(output_dir) / FILE
    if not loader.bad:
        file.unlink(missing_ok=True)
        return
    write_table(file, ["case", "reason"], [[case, " | ".join(lines)] for case, lines in loader.bad.items()])
    print(f"{loader.total - len(loader.bad)} of {loader.total} cases were predicted, the others are listed in {file}")
    raise loader.error()
