# SPDX-License-Identifier: Apache-2.0
"""Several processes or threads: those of one run as `torchrun` starts them, and workers that share jobs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from scripts.files.atomic import NO_SHARED_MEMORY, no_room, shared_memory_is_full
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


R = TypeVar("R")

MOST_LINES = 1000
"""Lines of one error; more are counted."""


class BadCases(ValueError):
    """Cases or files that cannot be used: one line for each says where it is, what is wrong, and what to do.

    Args:
        lines: at least one. The text of a single one is the line itself.
        of: number of cases or files that were looked at, 0 where that says nothing.
        what: what they are called.
        bad: how many of them have a line, or several; None: as many as there are lines.

    >>> print(BadCases(["case a: ...; restore it", "case b: ...; restore it"], of=9, what="files"))
    2 of 9 files cannot be used:
      case a: ...; restore it
      case b: ...; restore it
    """

    def __init__(  # noqa: B042 - __reduce__ hands them all over
        self, lines: Sequence[str], of: int = 0, what: str = "cases", bad: int | None = None
    ) -> None:
        self.lines = [" ".join(line.split()) for line in lines]
        self.of = of
        self.what = what
        self.bad = len(self.lines) if bad is None else bad
        super().__init__(self._text())

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the lines on the way from one process to another."""
        return type(self), (self.lines, self.of, self.what, self.bad)

    def _text(self) -> str:
        if len(self.lines) == 1:
            return self.lines[0]
        head = f"{self.bad} of {self.of} {self.what}" if self.of else f"{self.bad} {self.what}"
        more = len(self.lines) - MOST_LINES
        listed = [*self.lines[:MOST_LINES], *([f"and {more} more"] if more > 0 else [])]
        return "\n  ".join([f"{head} cannot be used:", *listed])


def work_through(
    do: Callable[[T], R],
    jobs: Sequence[T],
    workers: int | None = None,
    bar: str = "",
    unit: str = "case",
    processes: bool = False,
    what: str = "cases",
) -> list[R]:
    """Return `do(job)` of each job, in their order; a failure does not keep the others from being tried.

    Errors of workers travel as values, so that they say the same whatever the number of workers, and whether
    these are threads or processes.

    Args:
        do: what is done; for processes a function of a module, or a partial of one.
        jobs: its arguments.
        workers: jobs at a time; None takes one per core.
        bar: name of the progress bar; empty shows none.
        unit: what the bar counts.
        processes: whether the workers are processes; else they are threads.
        what: what jobs are called in the error.

    Raises:
        BadCases: jobs raised a ValueError or OSError; one line for each.
        OSError: there is no room for a file; the jobs that are left are not tried.
        ValueError: a worker process was killed.
    """
    from joblib import Parallel, cpu_count, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from tqdm import tqdm

    at_a_time = max(1, min(workers or cpu_count(), len(jobs)))
    kind = {"backend": "loky", **ending_with_this_process(at_a_time)} if processes else {"prefer": "threads"}
    parallel = Parallel(at_a_time, return_as="generator", **kind)
    results: list[R] = []
    lines: list[list[str]] = []
    try:
        with unheard_by_workers():
            outcomes = parallel(delayed(_outcome)(do, job) for job in jobs)
        for result, found, final in tqdm(outcomes, desc=bar, total=len(jobs), unit=unit, disable=not bar):
            if final:
                raise OSError(found[0])
            results.append(result)
            lines += [found] if found else []
    except TerminatedWorkerError:
        raise ValueError(
            f"{bar or 'the work'}: a worker process was killed, probably since memory ran out ({at_a_time} "
            "at a time); give the same command again with --workers 1"
        ) from None
    if lines:
        raise BadCases([line for found in lines for line in found], len(jobs), what, len(lines))
    return results


def ending_with_this_process(workers: int) -> dict[str, Any]:
    """Return what joblib needs so that its worker processes end when this one does, even by SIGKILL.

    Raises:
        OSError: they could not start; joblib would go on in threads.
    """
    if workers > 1 and shared_memory_is_full():
        raise OSError(NO_SHARED_MEMORY)
    return {"initializer": _end_with, "initargs": (os.getpid(),)}


@contextmanager
def unheard_by_workers() -> Iterator[None]:
    """Let processes started inside never hear Ctrl-C or a closed terminal: this one does, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # another system's terminal
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    for tracker in (resource_tracker, of_loky):  # whose start would let SIGINT through again
        tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """End this worker, whatever it is doing, within a second of the process that started it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()


def lines_of(error: Exception) -> list[str]:
    """Return what an error says: the lines of `BadCases`, else one."""
    return error.lines if isinstance(error, BadCases) else [str(error)]


def _outcome(do: Callable[[T], R], job: T) -> tuple[Any, list[str], bool]:
    """Return the result of a job, or nothing and the lines that say why not, and whether to stop there."""
    try:
        return do(job), [], False
    except (ValueError, OSError) as error:
        return None, lines_of(error), no_room(error) is not None
