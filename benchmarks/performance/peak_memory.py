# SPDX-License-Identifier: Apache-2.0
"""The peak memory of a piece of work, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def own_peak() -> float:
    """Return the largest resident memory that this process has had, MB (Linux).

    Not `ru_maxrss`, which a process inherits from its parent.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def peak_memory(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Run a function in a fresh process; return by how much it raised the peak, in MB, and what it returned.

    The memory of imports is allocated before and does not count.

    Args:
        work: a function of a module, called once.
        *arguments: its arguments.

    Raises:
        RuntimeError: the process ended without a result.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        raised, result = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{work.__name__} ended with status {process.exitcode}, see above") from None
    process.join()
    return raised, result


def _run(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before = own_peak()
    result = work(*arguments)
    sender.send((own_peak() - before, result))
