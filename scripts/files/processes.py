# SPDX-License-Identifier: Apache-2.0
"""Parallel work: the processes of one `torchrun`, and worker processes or threads that share jobs."""

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
    """Return the rank of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first_process() -> bool:
    """Return whether this is the process that writes files and talks to the user."""
    return process_number() == 0


def all_processes(value: T) -> list[T]:
    """Return the values of all processes in the order of their ranks."""
    if process_count() == 1:
        return [value]
    parts: list[Any] = [None] * process_count()
    distributed.all_gather_object(parts, value)
    return parts


def from_first_process(value: T) -> T:
    """Return the value of the first process."""
    return all_processes(value)[0]


def wait_for_all() -> None:
    """Return once every process has arrived; what the first one wrote before can then be read."""
    all_processes(None)


R = TypeVar("R")

MOST_LINES = 1000
"""Most lines listed in one error; the rest are only counted."""


class BadCases(ValueError):
    """Cases or files that cannot be used, each with a line that says where it is, what is wrong and what to do.

    Args:
        lines: at least one; a single line is the whole message.
        of: number of cases or files examined, 0 if that is of no interest.
        what: what they are called.
        bad: how many of them are bad, if some have several lines; None: one per line.

    >>> print(BadCases(["case a: ...; restore it", "case b: ...; restore it"], of=9, what="files"))
    2 of 9 files cannot be used:
      case a: ...; restore it
      case b: ...; restore it
    """

    def __init__(  # noqa: B042 - __reduce__ passes all arguments on
        self, lines: Sequence[str], of: int = 0, what: str = "cases", bad: int | None = None
    ) -> None:
        self.lines = [" ".join(line.split()) for line in lines]
        self.of = of
        self.what = what
        self.bad = len(self.lines) if bad is None else bad
        super().__init__(self._text())

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the lines when the error is pickled from one process to another."""
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
    """Return `do(job)` for each job, in order; after a failure the remaining jobs are still tried.

    Workers return errors as values, so that the message is the same for any number of workers, whether they
    are threads or processes.

    Args:
        do: the function; for processes one defined in a module, or a partial of one.
        jobs: its arguments.
        workers: jobs at a time; None takes one per core.
        bar: name of the progress bar; empty shows none.
        unit: what the bar counts.
        processes: use processes instead of threads.
        what: what jobs are called in the error.

    Raises:
        BadCases: jobs raised a ValueError or OSError; one line for each.
        OSError: there is no room for a file; the remaining jobs are not tried.
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
    """Return the joblib arguments that make worker processes end when this one does, even by SIGKILL.

    Raises:
        OSError: worker processes could not start (joblib would silently fall back to threads).
    """
    if workers > 1 and shared_memory_is_full():
        raise OSError(NO_SHARED_MEMORY)
    return {"initializer": _end_with, "initargs": (os.getpid(),)}


@contextmanager
def unheard_by_workers() -> Iterator[None]:
    """Shield processes started inside from Ctrl-C and a closing terminal: this process hears it and ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # e.g. Windows
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    unheard = (signal.SIGINT, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
    for tracker in (resource_tracker, of_loky):  # started here, they outlive a hang-up, too
        tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, unheard)  # starting the first one unblocks SIGINT
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """End this worker, whatever it is doing, within a second after its parent process has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="watch the parent", daemon=True).start()


def lines_of(error: Exception) -> list[str]:
    """Return the lines of `BadCases`, or the single message of any other error."""
    return error.lines if isinstance(error, BadCases) else [str(error)]


def _outcome(do: Callable[[T], R], job: T) -> tuple[Any, list[str], bool]:
    """Return the result of a job (None if it failed), the lines that say why, and whether to stop altogether."""
    try:
        return do(job), [], False
    except (ValueError, OSError) as error:
        return None, lines_of(error), no_room(error) is not None
