"""The processes that work on one run together, as `torchrun` starts them; an ordinary run is one process."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import distributed

T = TypeVar("T")


def process_count() -> int:
    """Return the number of processes of this run.

    >>> process_count()
    1
    """
    return distributed.get_world_size() if distributed.is_initialized() else 1


def process_number() -> int:
    """Return the number of this process, from 0 (its rank)."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first_process() -> bool:
    """Return whether this process is the one that writes files and speaks to the user."""
    return process_number() == 0


def all_processes(value: T) -> list[T]:
    """Return the value that each process has, in their order; on a single process, that one."""
    if process_count() == 1:
        return [value]
    parts: list[Any] = [None] * process_count()
    distributed.all_gather_object(parts, value)
    return parts


def from_first_process(value: T) -> T:
    """Return the value that the first process has."""
    return all_processes(value)[0]


def wait_for_all() -> None:
    """Return when every process has come here: what the first one wrote before can then be read."""
    all_processes(None)
