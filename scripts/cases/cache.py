# SPDX-License-Identifier: Apache-2.0
"""Datasets that keep preprocessed cases in memory, on disk, or not at all."""

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
ABANDONED = 3600.0  # s; an older unfinished file in a shared cache was left by a killed process
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
    """Create a dataset that runs the deterministic transforms once per case.

    Cases whose region of interest is larger than the grid are listed in one warning after caching.

    Args:
        transform: deterministic steps from item to tensors.
        cache: ``memory``; ``disk``, which persists and never becomes stale, as it is keyed by file contents,
            item values, settings and code; or ``none``.
        cache_dir: folder of the disk cache, which several datasets may share.

    Raises:
        ValueError: an unknown kind of cache, a disk cache without a folder, or a random step.
        BadCases: all cases that cannot be preprocessed; without a cache, raised when a case is requested.
    """
    check_cache(cache)
    steps = (transform if isinstance(transform, Compose) else Compose(transform)).flatten()
    chance = [type(step).__name__ for step in steps.transforms if isinstance(step, RandomizableTrait)]
    if chance:  # other users of the preprocessing (withheld phases, contributions, servers) must get the same images
        raise ValueError(
            "preprocessing must be the same in training, validation, test and inference, found the random "
            f"step {chance[0]}; move it into `augmentation`, which training alone runs"
        )
    return CACHES[cache](list(data), steps, cache_dir, progress)


def check_cache(cache: str) -> None:
    """Raise ValueError for an unknown kind of cache, suggesting the nearest."""
    if cache not in CACHES:
        raise ValueError(f"`cache` must be one of {listing(str(cache), CACHES)}, found {cache!r}")


class MemoryCache(CacheDataset):
    """Preprocesses every case on construction and keeps the results in memory."""

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
        except (ValueError, OSError) as error:  # reported once all others have been tried
            self.bad[idx] = lines_of(error)
            return None
        self.cut.add(_case(self.data[idx]), cut)
        return item


class DiskCache(PersistentDataset):
    """On construction preprocesses every case that is not yet in its folder; reads them from there."""

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
        """Use other items; files stay on disk, since their keys tell what they belong to."""
        self.data = list(data)
        self._fill()

    def prepared(self, item: Any) -> Any:
        """Return the preprocessed item, from disk if it is there; it need not belong to the dataset."""
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
            pool.join()  # even after an error, so that files being written by other threads are completed
        refuse_bad(bad, len(self.data))
        cut.tell(len(self.data))
        self.cut = cut

    def _cachecheck(self, item_transformed: Any) -> Any:
        return self.prepared(item_transformed)

    def _tried(self, item: Any) -> Item | list[str]:
        """Return the entry of a case, or the lines that say why it cannot be preprocessed."""
        try:
            return self._entry(item)
        except (ValueError, OSError) as error:
            if no_room(error) is not None:
                raise
            return lines_of(error)

    def _entry(self, item: Any) -> Item:
        """Return the preprocessed item from disk, or compute and store it; the case may have moved to another split."""
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
        if _content(item) != key:  # a file changed while it was read
            return self._entry(item)
        entry = {"item": prepared, "cut": cut}
        write_tensors(file, entry, lasting=False)  # readers find a complete file or none
        return entry


class NoCache(Dataset):
    """Preprocesses a case each time it is requested.

    Attributes:
        cut: regions so far that the grid shows only in part.
        tell_at_once: warn of each such case on its own line; otherwise the caller calls `cut.tell` at the end.
    """

    def __init__(
        self, data: list, transform: Compose, cache_dir: str | Path | None = None, progress: bool = True
    ) -> None:
        self.cut, self.tell_at_once = CutRegions(), True
        super().__init__(data, transform)

    def check(self) -> None:
        """Preprocess every case once and keep nothing; raises `BadCases`."""
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

    MONAI wraps an error of a step in "applying transform"; this raises the step's own error.

    Returns:
        The preprocessed item, and what the grid does not show of its region (see `cut_of`).
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
        cut = cut if now == cut_of(None) else now
    return item, cut


def refuse_bad(bad: Sequence[list[str]], total: int) -> None:
    """Raise one error for all cases that could not be preprocessed, if any."""
    if bad:
        raise BadCases([line for lines in bad for line in lines], total, bad=len(bad))


def _steps(transform: Compose) -> int:
    """Return the number of steps before the first that is not a `Transform` and so may not be deterministic."""
    first = transform.get_index_of_first(lambda step: not isinstance(step, Transform))
    return len(transform) if first is None else first


def _content(item: Any) -> str:
    """Return the fingerprint of an item regardless of its split, on which no preprocessing depends."""
    plain = {key: value for key, value in item.items() if key != SPLIT} if isinstance(item, Mapping) else item
    return item_fingerprint(plain)


def _in_split(prepared: Any, item: Any) -> Any:
    """Return a preprocessed item with the current split of `item`, if it kept its split."""
    if isinstance(prepared, Mapping) and isinstance(item, Mapping) and SPLIT in prepared and SPLIT in item:
        return {**prepared, SPLIT: item[SPLIT]}
    return prepared


def _threads() -> int:
    return min(8, os.cpu_count() or 1)


def _case(item: Any) -> str:
    return str(item.get("case", "?")) if isinstance(item, Mapping) else "?"


def _check_storable(value: Any, case: str, where: str = "the item") -> None:
    """Refuse values that torch's safe reader (`weights_only`) could not read back."""
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
