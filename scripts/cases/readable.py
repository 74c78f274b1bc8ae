"""Loading the cases that can be read, and naming the others at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.data import DataLoader, Dataset, list_data_collate

from scripts.cases.cache import NoCache
from scripts.files.atomic import write_table
from scripts.files.processes import BadCases, lines_of

FILE = "not_predicted.csv"


@dataclass(frozen=True)
class Bad:
    """A case that cannot be read, and the lines that say why."""

    case: str
    lines: list[str]


class Tried(Dataset):
    """Cases of another dataset; one that cannot be read is a `Bad` in its place."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.data)
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:  # type: ignore[override]
        try:
            return self.dataset[index]
        except (ValueError, OSError) as error:
            return Bad(str(self.data[index].get("case", index)), lines_of(error))


class ReadableLoader(DataLoader):
    """Batches of the cases that can be read, in their order; a batch lacks those that cannot.

    It has no length, since nobody knows how many cases can be read before they have been tried.

    Attributes:
        bad: case -> lines that say why it cannot be read, of the last pass.
        batches: number of batches at most.

    Raises:
        BadCases: at the end of a pass in which no case could be read.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 1, num_workers: int = 0) -> None:
        super().__init__(
            Tried(dataset), batch_size=batch_size, num_workers=num_workers, collate_fn=without_bad
        )
        self.total = len(dataset)
        self.cut = None
        if isinstance(dataset, NoCache) and num_workers == 0:  # processes tell for themselves
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
            self.cut.tell(self.total)  # once, for all cases

    def error(self) -> BadCases:
        """Return the error that names the bad cases of the last pass."""
        lines = [line for found in self.bad.values() for line in found]
        return BadCases(lines, self.total, bad=len(self.bad))


def without_bad(items: Sequence[Any]) -> tuple[Any, list[Bad]]:
    """Return the batch of the good items, None where there is none, and the bad ones."""
    good = [item for item in items if not isinstance(item, Bad)]
    return list_data_collate(good) if good else None, [item for item in items if isinstance(item, Bad)]


def name_bad(loader: ReadableLoader, output_dir: str | Path) -> None:
    """Write not_predicted.csv where cases could not be read, and end with an error that names them.

    Args:
        output_dir: receives the file; an old one goes where every case could be read.
    """
    file = Path(output_dir) / FILE
    if not loader.bad:
        file.unlink(missing_ok=True)
        return
    write_table(file, ["case", "reason"], [[case, " | ".join(lines)] for case, lines in loader.bad.items()])
    print(
        f"{loader.total - len(loader.bad)} of {loader.total} cases were predicted, the others stand in {file}"
    )
    raise loader.error()
