# SPDX-License-Identifier: Apache-2.0
"""Datasets that keep prepared cases: in memory, on disk, or not at all."""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import torch
from monai.data import CacheDataset, Dataset, PersistentDataset
from monai.transforms import Compose, RandomizableTrait, Transform
from monai.utils import convert_to_tensor
from scripts.cases.checks import CutRegions, cut_of
from scripts.files.atomic import no_room, remove_partial, write_tensors
from scripts.files.plain_text import listing
from scripts.files.processes import BadCases, lines_of, work_through
from scripts.volumes.fingerprint import code_version, fingerprint, item_fingerprint

logger = logging.getLogger(__name__)
ABANDONED = 3600.0  # s after which a half-written file of a shared cache counts as left by a killed process
SPLIT = "split"
STORABLE = (torch.Tensor, str, bytes, bool, int, float, type(None))
DAMAGED = (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, pickle.UnpicklingError)
Item = dict[str, Any]
Transforms = Callable | Sequence[Callable]


def cached_dataset(
    data: Sequence[Mapping[str, Any]],
    transform: Transforms,
    cache: str = "memory",
    cache_dir: str | Path | None = None,
    progress: bool = True,
) -> Dataset:
    """Make a dataset whose deterministic steps are done once per case.

    Cases whose region of interest is larger than the grid are listed once, after caching, by one warning.

    Args:
        transform: steps from item to tensors, none of them random.
        cache: ``memory``; ``disk``, which lasts and is keyed by the content of the files, the item's values,
            the settings and the code, and so is never out of date; or ``none``.
        cache_dir: folder of the disk cache; several datasets may share it.

    Raises:
        ValueError: an unknown kind of cache, a disk cache without a folder, or a random step.
        BadCases: cases that cannot be prepared, all of them; without a cache when they are asked for.
    """
    check_cache(cache)
    steps = (transform if isinstance(transform, Compose) else Compose(transform)).flatten()
    chance = [type(step).__name__ for step in steps.transforms if isinstance(step, RandomizableTrait)]
    if chance:  # training alone cannot have it: hidden phases, contributions and servers prepare cases, too
        raise ValueError(
            "preprocessing must be the same in training, validation, test and inference, found the random "
            f"step {chance[0]}; move it into `augmentation`, which training alone runs"
        )
    return CACHES[cache](list(data), steps, cache_dir, progress)


def check_cache(cache: str) -> None:
    """Raise ValueError for an unknown kind of cache; names the nearest."""
    if cache not in CACHES:
        raise ValueError(f"`cache` must be one of {listing(str(cache), CACHES)}, found {cache!r}")


class MemoryCache(CacheDataset):
    """Prepares every case when it is built, and keeps the results in memory."""

    def __init__(
        self, data: list, transform: Compose, cache_dir: str | Path | None = None, progress: bool = True
    ) -> None:
        self.cut = CutRegions()
        self.bad: dict[int, list[str]] = {}
        super().__init__(data, transform, num_workers=_threads(), progress=progress)

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list:
        self.cut = CutRegions()
        self.bad.clear()
        filled = super()._fill_cache(indices)
        refuse_bad([self.bad[index] for index in sorted(self.bad)], len(filled))
        self.cut.tell(len(filled))
        return filled

    def _load_cache_item(self, idx: int) -> Any:
        try:
            item, cut = preprocessed(self.transform, self.data[idx])
        except (ValueError, OSError) as error:  # told when all others have been tried
            self.bad[idx] = lines_of(error)
            return None
        self.cut.add(_case(self.data[idx]), cut)
        return item


class DiskCache(PersistentDataset):
    """Prepares every case when it is built, unless its folder holds it already, and reads it from there."""

    def __init__(
        self, data: list, transform: Compose, cache_dir: str | Path | None = None, progress: bool = True
    ) -> None:
        if cache_dir is None:
            raise ValueError("`cache: disk` needs a folder, found `cache_dir: null`; set `cache_dir`")
        try:
            super().__init__(data, transform, cache_dir, track_meta=False, weights_only=True)
            tempfile.TemporaryFile(dir=cache_dir).close()
            remove_partial(cache_dir, older_than=ABANDONED)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"`cache_dir` must be a folder to write to, found {cache_dir}: {error}; set another one"
            ) from None
        self.folder, self.progress = Path(cache_dir), progress
        self._key = fingerprint([code_version(), *self.transform.transforms[: _steps(self.transform)]])
        self._fill()

    def set_data(self, data: Sequence) -> None:
        """Take other items; what is on disk stays, since its key tells what it belongs to."""
        self.data = list(data)
        self._fill()

    def prepared(self, item: Any) -> Any:
        """Return an item prepared, from disk where it is there; it need not be one of the dataset's."""
        return self._entry(item)["item"]

    def _fill(self) -> None:
        from tqdm import tqdm

        cut, bad, pool = CutRegions(), [], ThreadPool(_threads())
        try:
            with pool:
                found = pool.imap(self._tried, self.data)
                bar = tqdm(found, total=len(self.data), desc="Caching cases", disable=not self.progress)
                for item, entry in zip(self.data, bar, strict=True):
                    if isinstance(entry, list):
                        bad.append(entry)
                    else:
                        cut.add(_case(item), entry["cut"])
        finally:
            pool.join()  # after an error, too: what other threads write at that moment is not left half done
        refuse_bad(bad, len(self.data))
        cut.tell(len(self.data))

    def _cachecheck(self, item_transformed: Any) -> Any:
        return self.prepared(item_transformed)

    def _tried(self, item: Any) -> Item | list[str]:
        """Return the entry of a case, or the lines that say why it cannot be prepared."""
        try:
            return self._entry(item)
        except (ValueError, OSError) as error:
            if no_room(error) is not None:
                raise
            return lines_of(error)

    def _entry(self, item: Any) -> Item:
        """Return the prepared item from disk, or prepare and store it; a case may move to another split."""
        key = _content(item)
        file = self.folder / f"{fingerprint([self._key, key])}.pt"
        if file.is_file():
            try:
                entry = torch.load(file, weights_only=True)
                return {"item": _in_split(entry["item"], item), "cut": entry["cut"]}
            except DAMAGED as error:
                logger.warning("the cache file %s cannot be read (%s); preparing it again", file, type(error).__name__)
        prepared, cut = preprocessed(self.transform, item)
        prepared = convert_to_tensor(prepared, convert_numeric=False, track_meta=False)
        _check_storable(prepared, _case(item))
        if _content(item) != key:  # a file was changed while it was read
            return self._entry(item)
        entry = {"item": prepared, "cut": cut}
        write_tensors(file, entry, lasting=False)  # a reader finds the whole file or none
        return entry


class NoCache(Dataset):
    """Prepares a case whenever it is asked for.

    Attributes:
        cut: what the grid does not show of the cases so far.
        tell_at_once: whether each case that is cut has its own line; else whoever goes through them calls
            `cut.tell`.
    """

    def __init__(
        self, data: list, transform: Compose, cache_dir: str | Path | None = None, progress: bool = True
    ) -> None:
        self.cut, self.tell_at_once = CutRegions(), True
        super().__init__(data, transform)

    def check(self) -> None:
        """Prepare every case once and keep nothing."""
        work_through(partial(preprocessed, self.transform), self.data, _threads(), bar="Checking cases")

    def _transform(self, index: int) -> Any:
        item, cut = preprocessed(self.transform, self.data[index])
        if self.cut.add(_case(self.data[index]), cut) and self.tell_at_once:
            one = CutRegions()
            one.add(_case(self.data[index]), cut)
            one.tell(len(self.data))
        return self.transform(item, start=_steps(self.transform))


CACHES: dict[str, Callable[..., Dataset]] = {"memory": MemoryCache, "disk": DiskCache, "none": NoCache}


def preprocessed(transform: Compose, item: Any) -> tuple[Any, dict[str, Any]]:
    """Run the deterministic steps on an item.

    MONAI hides an error of a step behind "applying transform"; this raises the step's own error.

    Returns:
        the prepared item, and of `cut_of` what the grid does not show.
    """
    cut = cut_of(None)
    for step in range(_steps(transform)):
        try:
            item = transform(item, start=step, end=step + 1, threading=True)
        except RuntimeError as error:
            if isinstance(error.__cause__, ValueError | OSError):
                raise error.__cause__ from None
            raise
        now = cut_of(item)
        cut = now if any(now.values()) else cut
    return item, cut


def refuse_bad(bad: Sequence[list[str]], total: int) -> None:
    """Raise one error for all cases that could not be prepared, if any."""
    if bad:
        raise BadCases([line for lines in bad for line in lines], total, bad=len(bad))


def _steps(transform: Compose) -> int:
    """Return the number of steps before the first that is no transform, of whose result nothing is known."""
    first = transform.get_index_of_first(lambda step: not isinstance(step, Transform))
    return len(transform) if first is None else first


def _content(item: Any) -> str:
    """Return the fingerprint of an item, whatever split it is in: no preparation depends on that."""
    plain = {key: value for key, value in item.items() if key != SPLIT} if isinstance(item, Mapping) else item
    return item_fingerprint(plain)


def _in_split(prepared: Any, item: Any) -> Any:
    """Return a prepared item with the split that the item is in now, where it has kept one."""
    if isinstance(prepared, Mapping) and isinstance(item, Mapping) and SPLIT in prepared and SPLIT in item:
        return {**prepared, SPLIT: item[SPLIT]}
    return prepared


def _threads() -> int:
    return min(8, os.cpu_count() or 1)


def _case(item: Any) -> str:
    return str(item.get("case", "?")) if isinstance(item, Mapping) else "?"


def _check_storable(value: Any, case: str, where: str = "the item") -> None:
    """Refuse what a safe reader could not read back."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_storable(part, case, f"{key!r}")
    elif isinstance(value, list | tuple):
        for part in value:
            _check_storable(part, case, where)
    elif not isinstance(value, STORABLE):
        raise ValueError(
            f"case {case}: the disk cache keeps tensors, numbers and text only, found {type(value).__name__} "
            f"in {where}; end the preprocessing with SelectItemsd, or use `cache: memory`"
        )
